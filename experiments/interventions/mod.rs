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
pub use l2::optimizer;
pub use redo::Redo;
pub(crate) use redo::recycling;
pub use resets::Resets;
pub use shrink_perturb::ShrinkPerturb;
pub(crate) use shrink_perturb::perturbation;
pub use tortoise::Tortoise;

use crate::config::{Config, Intervention, Method, ShrinkPerturbVariant};
use crate::error::Result;
use crate::schedule::Phase;
use crate::trainer::Trainer;
use crate::training_step::{Additions, StepMemory};
use engine::{Buffer, Device};
use kernels::Clock;
use models::Model;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
        let (device, parameters) = (trainer.device(), trainer.model().parameters());
        let tortoise = intervention
            .momentum()
            .map(|momentum| Tortoise::new(device, parameters, trainer.hare(), momentum))
            .transpose()?;
        let needs_initial = [Method::ShrinkPerturb, Method::HeadReset, Method::Regen];
        let initial = if needs_initial.iter().any(|&method| intervention.method.has(method)) {
            let values = parameters.initial_values(config.seed);
            Some(device.buffer_with("initial parameters", bytemuck::cast_slice(&values))?)
        } else {
            None
        };
        let (model, memory, initial) = (trainer.model(), trainer.memory(), initial.as_ref());
        let additions = additions(device, model, memory, intervention, tortoise.as_ref(), initial)?;
        trainer.set_additions(additions);
        let trainer = &*trainer;
        Ok(Self {
            tortoise,
            tortoise_predicts: intervention.hare_tortoise.is_some() || intervention.ema.is_some(),
            hare_resets: intervention.hare_tortoise.as_ref().map(Resets::of_hare),
            optimizer_resets: intervention.optimizer_reset.as_ref().map(Resets::of_optimizer),
            reset_shares_memory: intervention.hare_tortoise.as_ref().is_some_and(|h| h.reset_shares_memory),
            shrink_perturb: initial
                .zip(intervention.shrink_perturb.as_ref())
                .map(|(initial, options)| ShrinkPerturb::new(trainer, initial, options, config.seed))
                .transpose()?
                .flatten(),
            head_reset: initial
                .zip(intervention.head_reset.as_ref())
                .map(|(initial, _)| HeadReset::new(trainer, initial))
                .transpose()?,
            redo: intervention.redo.as_ref().map(|options| Redo::new(trainer, options)).transpose()?,
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

    /// How often each method reset something in epoch `done` of a phase, from 1, or right after it; methods that did not are
    /// absent. It follows from the schedule alone.
    pub fn resets(&self, phase: &Phase, done: usize, last_phase: bool) -> BTreeMap<&'static str, usize> {
        let in_epoch =
            |resets: &Option<Resets>| resets.map_or(0, |resets| resets.in_epoch(done, phase.batches));
        let ends_phase = done == phase.epochs;
        let counts = [
            (Method::HareTortoise, in_epoch(&self.hare_resets)),
            (Method::OptimizerReset, in_epoch(&self.optimizer_resets)),
            (Method::ShrinkPerturb, (self.shrink_perturb.is_some() && ends_phase && !last_phase).into()),
            (Method::HeadReset, (self.head_reset.is_some() && ends_phase && !last_phase).into()),
            (Method::Redo, (self.redo.as_ref().is_some_and(|redo| redo.is_due(done)) && !ends_phase).into()),
        ];
        counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(method, count)| (method.name(), count))
            .collect()
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

/// What methods add to each training step of the network in `memory`. `initial` holds the run's first weights, for `regen`.
///
/// # Errors
/// Those of the device.
pub fn additions(
    device: &Device,
    model: &dyn Model,
    memory: &StepMemory,
    intervention: &Intervention,
    tortoise: Option<&Tortoise>,
    initial: Option<&Buffer>,
) -> engine::Result<Additions> {
    let (parameters, classes) = (model.parameters(), model.input().classes);
    let mut additions = Additions::default();
    if let Some(options) = &intervention.spectral_decoupling {
        additions.logit_penalty = spectral_decoupling::logit_penalty(options, classes);
    }
    if let (Some(tortoise), Some(options)) = (tortoise, &intervention.self_distillation) {
        additions.teacher = Some(self_distillation::teacher(tortoise, classes, options.strength));
    }
    if let (Some(initial), Some(options)) = (initial, &intervention.regen) {
        additions.after_gradient = regen::launches(memory, model, initial, options);
    }
    if let Some(options) = &intervention.shrink_perturb
        && options.variant == ShrinkPerturbVariant::PerStep
    {
        let launch = shrink_perturb::perturbation_of(device, parameters, &memory.network, options)?;
        additions.after_update.push(launch);
    }
    Ok(additions)
}
