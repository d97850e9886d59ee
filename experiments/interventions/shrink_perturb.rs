//! Shrink & Perturb, as Hare & Tortoise (2024) uses it: `w <- keep * w + (1 - keep) * w_initial` between two phases.
//!
//! `keep` is 0.2. `w_initial` are the run's first weights, without noise or a fresh draw; batch-norm scale and shift
//! take part, running statistics do not (`src/trainers/base.py`). Ash & Adams (2020) draw fresh weights instead.

use crate::trainer::Trainer;
use engine::{Buffer, Launch, Program};
use kernels::Clock;
use kernels::arena::Blend;
use std::sync::Arc;

/// Pulls all weights toward the run's first ones.
#[derive(Debug)]
pub struct ShrinkPerturb {
    program: Program,
}

impl ShrinkPerturb {
    /// Prepares the launch; `initial` holds the run's first weights.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(trainer: &Trainer, initial: &Buffer, keep: f64) -> engine::Result<Self> {
        let len = trainer.model().parameters().words();
        let launch = Launch {
            label: "shrink & perturb".into(),
            kernel: Arc::new(Blend { len, keep }),
            slices: vec![trainer.hare().parameters.slice(0, len), initial.slice(0, len)],
        };
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
