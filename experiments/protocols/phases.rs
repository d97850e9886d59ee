//! Training in phases: a fresh network is one phase, a warm start two, continual learning and label sets many.
//!
//! Phase k adds a share of the training set, drawn uniformly without replacement, and trains on all examples so far, with
//! label noise drawn anew for the whole set. It has `int(base_epochs / ratio)` epochs, a new optimiser and a new
//! schedule: the learning rate rises linearly over the first tenth of the phase's steps, `lr * min(1, k / W)` at step
//! k from 0, and stays. (Hare & Tortoise 2024, `src/trainers/base.py`; the defaults that differ by `fidelity` are listed
//! in `docs/fidelity.md`.)
//!
//! Phases of random labels (`protocol.label_sets`; Lyle and others 2023, Fig. 1) are all on the same images, and the
//! optimiser goes on from one to the next: only the labels change.

use super::progress::Progress;
use crate::config::{Config, FinalAccuracy, RunConfig};
use crate::error::{Error, Result};
use crate::indicators::{HessianIndicators, Indicators, Memorisation};
use crate::interventions::{self, Interventions, Memory};
use crate::lifecycle::{self, Context, Entered, Every, Outcome, Status};
use crate::run_folder::RunFolder;
use crate::schedule::{Phase, phases};
use crate::trainer::{Evaluator, Trainer};
use crate::training_step::RING_ROWS;
use data::DataSet;
use engine::Device;
use kernels::Clock;
use std::path::Path;
use std::time::Instant;

/// A network and all that accompanies it through the phases.
pub(super) struct Session<'a> {
    pub(super) config: &'a Config,
    pub(super) device: &'a Device,
    pub(super) data: &'a DataSet,
    pub(super) trainer: Trainer,
    pub(super) phases: Vec<Phase>,
    pub(super) interventions: Interventions,
    pub(super) indicators: Option<Indicators>,
    pub(super) hessian: Option<HessianIndicators>,
    pub(super) memorisation: Option<Memorisation>,
    pub(super) hare_evaluator: Evaluator,
    pub(super) tortoise_evaluator: Option<Evaluator>,
    pub(super) progress: Progress,
    /// Steps whose metrics were read back.
    pub(super) read: u64,
}

/// Runs, or resumes, the phases of a config in its folder under `out`. A config that is refused leaves no folder. A
/// failure that would come again is written down in the folder.
///
/// # Errors
/// Those of the device, of the folder, a loss that is not finite, a panic.
pub fn run(context: &mut Context<'_, Config>, out: &Path) -> Result<Outcome> {
    lifecycle::carry_out(context, |context, place| train(context, out, place))
}

fn train(context: &mut Context<'_, Config>, out: &Path, place: &mut Option<RunFolder>) -> Result<Outcome> {
    let (started, config, data) = (Instant::now(), context.config, context.data_identity);
    let mut session = Session::new(config, context.device, context.data)?;
    let folder = match lifecycle::enter(config, out, Some(data), context.note)? {
        Entered::Open(folder) => place.insert(folder),
        Entered::Finished(result) => return Ok(Outcome::WasFinished(result)),
    };
    let resumed = session.resume(folder, data, context.note)?;
    let (mut to_save, mut to_show) = (Every::seconds(config.run.checkpoint_seconds), Every::seconds(0.1));
    let total = session.phases.iter().map(|phase| (phase.epochs * phase.batches) as u64).sum();

    while session.progress.phase < session.phases.len() {
        session.begin_phase(Some(folder))?;
        while session.progress.epoch < session.phase().epochs {
            while session.progress.batch < session.phase().batches {
                if context.stops_before(session.progress.step) {
                    session.save(folder)?;
                    return Ok(Outcome::Interrupted);
                }
                if to_save.is_due() {
                    session.save(folder)?;
                }
                session.step()?;
                if session.progress.step - session.read == RING_ROWS as u64 {
                    session.read_metrics(folder)?;
                }
                if to_show.is_due() {
                    (context.progress)(&session.status(total));
                }
            }
            session.end_epoch()?;
            if session.evaluation_is_due() {
                session.evaluate(folder)?;
            }
            session.between_epochs()?;
        }
        session.read_metrics(folder)?;
        session.end_phase()?;
    }
    session.save(folder)?;
    (context.progress)(&session.status(total));
    let result = session.result(started.elapsed().as_secs_f64(), resumed);
    folder.finish(&result)?;
    if !config.run.keep_checkpoint {
        folder.remove_checkpoint()?;
    }
    Ok(Outcome::Finished(result))
}

impl<'a> Session<'a> {
    pub(super) fn new(config: &'a Config, device: &'a Device, data: &'a DataSet) -> Result<Self> {
        let mut trainer = Trainer::new(device, config, interventions::optimizer(config), data)?;
        let phases = phases(config, &data.train.labels, data.train.classes)?;
        for (index, phase) in phases.iter().enumerate() {
            trainer.check_batches(phase).map_err(|error| {
                let (n, batch) = (phase.examples.len(), config.optimizer.batch);
                Error::Mismatch(format!("phase {index}, {n} examples in batches of {batch}: {error}"))
            })?;
        }
        let interventions = Interventions::new(&mut trainer, config)?;
        let indicators =
            config.protocol.indicators.then(|| Indicators::new(&trainer, config.seed)).transpose()?;
        let steps = config.protocol.hessian_steps;
        let hessian = (steps > 0).then(|| HessianIndicators::new(steps));
        let memorisation =
            (config.protocol.label_sets > 0).then(|| Memorisation::new(&trainer)).transpose()?;
        let hare = trainer.hare().clone();
        let hare_evaluator = trainer.evaluator(&hare)?;
        let tortoise = interventions.predictor().map(|tortoise| tortoise.network().clone());
        let tortoise_evaluator = tortoise.map(|network| trainer.evaluator(&network)).transpose()?;
        Ok(Self {
            config,
            device,
            data,
            trainer,
            phases,
            interventions,
            indicators,
            hessian,
            memorisation,
            hare_evaluator,
            tortoise_evaluator,
            progress: Progress { run_id: config.run_id(), ..Progress::default() },
            read: 0,
        })
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phases[self.progress.phase]
    }

    /// Prepares the current phase; at its very start the optimiser is new, and the networks are evaluated.
    pub(super) fn begin_phase(&mut self, folder: Option<&mut RunFolder>) -> Result<()> {
        let phase = self.phases[self.progress.phase].clone();
        self.trainer.begin_phase(&phase)?;
        self.interventions.begin_phase(&mut self.trainer)?;
        if let Some(indicators) = &mut self.indicators {
            indicators.begin_phase(&mut self.trainer)?;
        }
        if let Some(hessian) = &mut self.hessian {
            hessian.begin_phase(&mut self.trainer)?;
        }
        if let Some(memorisation) = &mut self.memorisation {
            memorisation.begin_phase(&mut self.trainer)?;
        }
        if !self.progress.begun {
            // From one label set to the next the optimiser goes on.
            if self.progress.phase == 0 || self.memorisation.is_none() {
                self.trainer.clear_moments()?;
                self.progress.methods = Memory::default();
            }
            self.progress.phase_step = 0;
            self.progress.begun = true;
            if let Some(folder) = folder {
                self.evaluate(folder)?;
            }
        }
        Ok(())
    }

    pub(super) fn clock(&self) -> (Clock, u64, f64) {
        let progress = &self.progress;
        let clock = Clock {
            seed: self.config.seed,
            step: progress.step as u32,
            epoch: progress.epochs as u32,
            cursor: (progress.batch * self.config.optimizer.batch) as u32,
            slot: (progress.step % RING_ROWS as u64) as u32,
            ..Clock::default()
        };
        (
            clock,
            progress.methods.optimizer_steps + 1,
            self.phase().learning_rate(self.config, progress.phase_step),
        )
    }

    /// One step of the hare; the tortoise follows.
    pub(super) fn step(&mut self) -> Result<()> {
        let (clock, t, learning_rate) = self.clock();
        self.trainer.step(&clock, t, learning_rate, self.phase().examples.len())?;
        self.after_step()
    }

    pub(super) fn after_step(&mut self) -> Result<()> {
        let progress = &mut self.progress;
        progress.batch += 1;
        progress.step += 1;
        progress.phase_step += 1;
        self.interventions.after_step(&self.trainer, progress.phase_step, &mut progress.methods)
    }

    pub(super) fn end_epoch(&mut self) -> Result<()> {
        self.progress.batch = 0;
        self.progress.epoch += 1;
        self.progress.epochs += 1;
        self.interventions.after_epoch(&self.trainer, self.progress.epoch, &mut self.progress.methods)
    }

    /// What acts between two epochs of a phase; the evaluation of the first lies before it.
    pub(super) fn between_epochs(&mut self) -> Result<()> {
        if self.progress.epoch == self.phase().epochs {
            return Ok(());
        }
        self.interventions.between_epochs(&self.clock().0, self.progress.epoch)
    }

    /// What acts between two phases. After the last one it would only change a checkpoint that nobody has evaluated.
    pub(super) fn end_phase(&mut self) -> Result<()> {
        if self.progress.phase + 1 < self.phases.len() {
            self.interventions.between_phases(self.progress.phase + 1)?;
        }
        self.progress.phase += 1;
        self.progress.epoch = 0;
        self.progress.begun = false;
        Ok(())
    }

    fn evaluation_is_due(&self) -> bool {
        self.progress.epochs.is_multiple_of(self.phase().evaluate_every)
            || self.is_last_epoch_to_score()
            || self.is_before_a_change()
    }

    /// What changes between two phases is seen from both sides: the next phase begins with an evaluation.
    fn is_before_a_change(&self) -> bool {
        (self.interventions.act_between_phases() || self.memorisation.is_some())
            && self.progress.phase + 1 < self.phases.len()
            && self.progress.epoch == self.phase().epochs
    }

    /// The end of the run is evaluated before the interventions that end a phase act.
    fn is_last_epoch_to_score(&self) -> bool {
        self.config.protocol.final_accuracy == FinalAccuracy::LastEpoch
            && self.progress.phase + 1 == self.phases.len()
            && self.progress.epoch == self.phase().epochs
    }

    fn status(&self, steps: u64) -> Status {
        let (phase, phases) = ((self.progress.phase + 1).min(self.phases.len()), self.phases.len());
        let accuracy = self.progress.scored.map(|scored| format!(", test {:.1} %", 100.0 * scored.top1));
        let words = format!("phase {phase}/{phases}{}", accuracy.unwrap_or_default());
        Status { step: self.progress.step, steps, words }
    }
}
