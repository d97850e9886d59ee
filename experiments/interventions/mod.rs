//! What keeps a network plastic: one small file per method, with its formula, its source and any deviation.
//!
//! Each works on whole arenas on the device. [`Interventions`] shows at which moment each acts; the loop in `protocols/`
//! shows when those moments come.

mod head_reset;
mod l2;
mod redo;
mod regen;
mod resets;
mod self_distillation;
mod shrink_perturb;
mod spectral_decoupling;
mod tortoise;

pub use head_reset::HeadReset;
pub use l2::weight_decay;
pub use redo::Redo;
pub use resets::Resets;
pub use shrink_perturb::ShrinkPerturb;
pub use tortoise::Tortoise;

use crate::config::{Config, ShrinkPerturbVariant};
use crate::error::Result;
use crate::trainer::Trainer;
use crate::training_step::{Additions, StepMemory};
use engine::{Buffer, Device};
use kernels::Clock;
use models::Model;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    tortoise_predicts: bool,
    hare_resets: Option<Resets>,
    optimizer_resets: Option<Resets>,
    reset_shares_memory: bool,
    shrink_perturb: Option<ShrinkPerturb>,
    head_reset: Option<HeadReset>,
    redo: Option<Redo>,
}

impl Interventions {
    /// Prepares the methods of a config for the network of `trainer`, which has its first weights, and adds to its steps
    /// what they ask for.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(trainer: &mut Trainer, config: &Config) -> Result<Self> {
        let intervention = &config.intervention;
        let tortoise_predicts = config.has("hare-tortoise") || config.has("ema");
        let average = tortoise_predicts || config.has("self-distillation");
        let needs_initial = ["shrink-perturb", "head-reset", "regen"].iter().any(|method| config.has(method));
        let initial = if needs_initial {
            let values = trainer.model().parameters().initial_values(config.seed);
            Some(trainer.device().buffer_with("initial parameters", bytemuck::cast_slice(&values))?)
        } else {
            None
        };
        let initial_for = |method: &str| initial.as_ref().filter(|_| config.has(method));
        let (device, parameters) = (trainer.device(), trainer.model().parameters());
        let tortoise = average
            .then(|| Tortoise::new(device, parameters, trainer.hare(), intervention.momentum))
            .transpose()?;
        let (model, memory, regen) = (trainer.model(), trainer.memory(), initial_for("regen"));
        let additions = additions(device, model, memory, config, tortoise.as_ref(), regen)?;
        trainer.set_additions(additions);
        let trainer = &*trainer;
        Ok(Self {
            tortoise,
            tortoise_predicts,
            hare_resets: config.has("hare-tortoise").then(|| Resets::new(intervention)),
            optimizer_resets: config.has("optimizer-reset").then(|| Resets::new(intervention)),
            reset_shares_memory: intervention.reset_shares_memory,
            shrink_perturb: initial_for("shrink-perturb")
                .map(|initial| ShrinkPerturb::new(trainer, initial, config))
                .transpose()?
                .flatten(),
            head_reset: initial_for("head-reset")
                .map(|initial| HeadReset::new(trainer, initial))
                .transpose()?,
            redo: config.has("redo").then(|| Redo::new(trainer, config)).transpose()?,
        })
    }

    /// The average of the trained network, if a method keeps one.
    pub fn tortoise(&self) -> Option<&Tortoise> {
        self.tortoise.as_ref()
    }

    /// The network that predicts in place of the trained one, if there is one. A tortoise that only teaches does not.
    pub fn predictor(&self) -> Option<&Tortoise> {
        self.tortoise.as_ref().filter(|_| self.tortoise_predicts)
    }

    /// When a phase begins, or is taken up again.
    ///
    /// # Errors
    /// Those of the device.
    pub fn begin_phase(&mut self, trainer: &mut Trainer) -> Result<()> {
        self.redo.as_mut().map_or(Ok(()), |redo| redo.begin_phase(trainer))
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

    /// Between epoch `done` of a phase, from 1, and the next, whose first step the clock describes. An evaluation of epoch
    /// `done` lies before this.
    ///
    /// # Errors
    /// Those of the device.
    pub fn between_epochs(&self, clock: &Clock, done: usize) -> Result<()> {
        self.redo.as_ref().map_or(Ok(()), |redo| redo.between_epochs(clock, done))
    }

    /// Adds what an evaluation logs about methods; the clock is that of the next step.
    ///
    /// # Errors
    /// Those of the device.
    pub fn log(&self, clock: &Clock, line: &mut Map<String, Value>) -> Result<()> {
        self.redo.as_ref().map_or(Ok(()), |redo| redo.log(clock, line))
    }

    /// Between two phases, of which `next` is the second, from 0. After the last one this would only change a checkpoint
    /// that nobody has evaluated.
    ///
    /// # Errors
    /// Those of the device.
    pub fn between_phases(&self, next: usize) -> Result<()> {
        if let Some(shrink_perturb) = &self.shrink_perturb {
            shrink_perturb.apply(next)?;
        }
        if let Some(head_reset) = &self.head_reset {
            head_reset.apply()?;
        }
        Ok(())
    }
}

/// What the methods of a config add to each training step of the network in `memory`. `initial` holds the run's first
/// weights, for `regen`.
///
/// # Errors
/// Those of the device.
pub fn additions(
    device: &Device,
    model: &dyn Model,
    memory: &StepMemory,
    config: &Config,
    tortoise: Option<&Tortoise>,
    initial: Option<&Buffer>,
) -> engine::Result<Additions> {
    let (intervention, classes) = (&config.intervention, model.input().classes);
    let parameters = model.parameters();
    let mut additions = Additions {
        logit_penalty: spectral_decoupling::logit_penalty(config, classes),
        ..Additions::default()
    };
    if let (Some(tortoise), true) = (tortoise, config.has("self-distillation")) {
        let strength = intervention.distillation_strength;
        additions.teacher = Some(self_distillation::teacher(device, memory, tortoise, classes, strength)?);
    }
    if let Some(initial) = initial {
        additions.after_gradient = regen::launches(memory, model, initial, intervention);
    }
    if config.has("shrink-perturb") && intervention.shrink_perturb == ShrinkPerturbVariant::PerStep {
        let launch = shrink_perturb::perturbation(device, parameters, &memory.network, config)?;
        additions.after_update.push(launch);
    }
    Ok(additions)
}
