//! Head reset: `head <- initial head` between two phases; the backbone stays.
//!
//! The paper says "reinitialised"; the released code copies the run's first weights back (`src/trainers/base.py`), and so do
//! we.

use crate::trainer::Trainer;
use engine::{Buffer, Launch, Program};
use kernels::Clock;
use kernels::arena::Copy;
use std::sync::Arc;

/// Sets the head back to the run's first weights.
#[derive(Debug)]
pub struct HeadReset {
    program: Program,
}

impl HeadReset {
    /// Prepares the launch; `initial` holds the run's first weights.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(trainer: &Trainer, initial: &Buffer) -> engine::Result<Self> {
        let head = trainer.model().parameters().group_range(models::HEAD).unwrap_or(0..0);
        let launch = Launch::new(
            "head reset",
            Arc::new(Copy { len: head.len() }),
            vec![
                trainer.hare().parameters.slice(head.start, head.len()),
                initial.slice(head.start, head.len()),
            ],
        );
        Ok(Self { program: trainer.device().compile(vec![launch])? })
    }

    /// Applies it once.
    ///
    /// # Errors
    /// Those of the device.
    pub fn apply(&self) -> engine::Result<()> {
        self.program.run(&Clock::default())
    }
}
