//! What keeps a network plastic: one small file per method, with its formula, its source and any deviation.
//!
//! Each works on whole arenas on the device. [`Interventions`] shows at which moment each acts; the loop in `protocols/`
//! shows when those moments come.

mod head_reset;
mod l2;
mod resets;
mod shrink_perturb;
mod tortoise;

pub use head_reset::HeadReset;
pub use l2::weight_decay;
pub use resets::Resets;
pub use shrink_perturb::ShrinkPerturb;
pub use tortoise::Tortoise;

use crate::config::Config;
use crate::error::Result;
use crate::trainer::Trainer;
use serde::{Deserialize, Serialize};

/// What methods keep from step to step beside the arenas; new in every phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Steps of the optimiser since it was new: its t.
    pub optimizer_steps: u64,
    /// The last step was followed by a reset of the hare.
    pub after_reset: bool,
}

/// The methods that take part in a run.
#[derive(Debug)]
pub struct Interventions {
    tortoise: Option<Tortoise>,
    hare_resets: Option<Resets>,
    optimizer_resets: Option<Resets>,
    reset_shares_memory: bool,
    shrink_perturb: Option<ShrinkPerturb>,
    head_reset: Option<HeadReset>,
}

impl Interventions {
    /// Prepares the methods of a config for the network of `trainer`, which has its first weights.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(trainer: &Trainer, config: &Config) -> Result<Self> {
        let intervention = &config.intervention;
        let average = config.has("hare-tortoise") || config.has("ema");
        let needs_initial = config.has("shrink-perturb") || config.has("head-reset");
        let initial = if needs_initial {
            let values = trainer.model().parameters().initial_values(config.seed);
            Some(trainer.device().buffer_with("initial parameters", bytemuck::cast_slice(&values))?)
        } else {
            None
        };
        let initial_for = |method: &str| initial.as_ref().filter(|_| config.has(method));
        Ok(Self {
            tortoise: average.then(|| Tortoise::new(trainer, intervention.momentum)).transpose()?,
            hare_resets: config.has("hare-tortoise").then(|| Resets::new(intervention)),
            optimizer_resets: config.has("optimizer-reset").then(|| Resets::new(intervention)),
            reset_shares_memory: intervention.reset_shares_memory,
            shrink_perturb: initial_for("shrink-perturb")
                .map(|initial| ShrinkPerturb::new(trainer, initial, intervention.keep))
                .transpose()?,
            head_reset: initial_for("head-reset")
                .map(|initial| HeadReset::new(trainer, initial))
                .transpose()?,
        })
    }

    /// The network that predicts in place of the trained one, if there is one.
    pub fn tortoise(&self) -> Option<&Tortoise> {
        self.tortoise.as_ref()
    }

    /// After step `done` of a phase, from 1.
    ///
    /// # Errors
    /// Those of the device.
    pub fn after_step(&self, trainer: &Trainer, done: u64, memory: &mut Memory) -> Result<()> {
        memory.optimizer_steps += 1;
        if let Some(tortoise) = &self.tortoise {
            let shared = memory.after_reset && self.reset_shares_memory;
            if shared { tortoise.become_hare()? } else { tortoise.follow()? }
        }
        memory.after_reset = false;
        self.reset(trainer, memory, |resets| resets.after_step(done as usize))
    }

    /// After epoch `done` of a phase, from 1.
    ///
    /// # Errors
    /// Those of the device.
    pub fn after_epoch(&self, trainer: &Trainer, done: usize, memory: &mut Memory) -> Result<()> {
        self.reset(trainer, memory, |resets| resets.after_epoch(done))
    }

    fn reset(&self, trainer: &Trainer, memory: &mut Memory, due: impl Fn(&Resets) -> bool) -> Result<()> {
        if let (Some(tortoise), true) = (&self.tortoise, self.hare_resets.as_ref().is_some_and(&due)) {
            tortoise.pull_hare()?;
            memory.after_reset = true;
        }
        if self.optimizer_resets.as_ref().is_some_and(&due) {
            trainer.clear_moments()?;
            memory.optimizer_steps = 0;
        }
        Ok(())
    }

    /// Whether some method acts between two phases.
    pub fn act_between_phases(&self) -> bool {
        self.shrink_perturb.is_some() || self.head_reset.is_some()
    }

    /// Between two phases. After the last one this would only change a checkpoint that nobody has evaluated.
    ///
    /// # Errors
    /// Those of the device.
    pub fn between_phases(&self) -> Result<()> {
        if let Some(shrink_perturb) = &self.shrink_perturb {
            shrink_perturb.apply()?;
        }
        if let Some(head_reset) = &self.head_reset {
            head_reset.apply()?;
        }
        Ok(())
    }
}
