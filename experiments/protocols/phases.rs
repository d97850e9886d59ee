//! Training in phases: a fresh network is one phase, a warm start two, continual learning many.
//!
//! Phase k adds a share of the training set, drawn uniformly without replacement, and trains on all examples so far, with
//! label noise drawn anew for the whole set. It has `int(base_epochs / ratio)` epochs, a new optimiser and a new
//! schedule: the learning rate rises linearly over the first tenth of the phase's steps, `lr * min(1, k / W)` at step
//! k from 0, and stays. (Hare & Tortoise 2024, `src/trainers/base.py`; the defaults that differ by `fidelity` are listed
//! in `docs/fidelity.md`.)

use super::schedule::{Phase, phases};
use crate::config::{Config, FinalAccuracy};
use crate::error::{Error, Result};
use crate::interventions::{HareReset, HeadReset, ShrinkPerturb, Tortoise};
use crate::run_folder::RunFolder;
use crate::trainer::{Evaluation, Evaluator, StepMetrics, Trainer};
use crate::training_step::RING_ROWS;
use data::DataSet;
use engine::Device;
use engine::checkpoint::File;
use kernels::Clock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
/// How far a run is. Stored in the checkpoint; holds no time of day, so equal runs have equal checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Of the resolved config.
    pub(super) run_id: String,
    /// Phases finished.
    pub(super) phase: usize,
    /// The current phase was begun: optimiser cleared, first evaluation logged.
    pub(super) begun: bool,
    /// Epochs of the phase finished.
    pub(super) epoch: usize,
    /// Batches of the epoch finished.
    pub(super) batch: usize,
    /// Epochs of the run finished.
    pub(super) epochs: usize,
    /// Steps of the run taken.
    pub(super) step: u64,
    /// Steps of the phase taken: the optimiser's t.
    pub(super) phase_step: u64,
    /// The last step was followed by a reset of the hare.
    pub(super) after_reset: bool,
    /// Sums over the current epoch's steps that were read back.
    tally: Tally,
    /// Train accuracy of the last whole epoch.
    pub(super) train_accuracy: f64,
    /// The evaluation that is the run's result so far.
    scored: Option<Scored>,
    /// Bytes of metrics.jsonl.
    pub(super) metrics_bytes: u64,
}

/// Sums over the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    loss: f64,
    hits: f64,
    rows: f64,
    gradient_norm: f64,
    steps: u64,
}

/// A test result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Scored {
    loss: f64,
    top1: f64,
    top5: f64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All phases are done; the content of `result.json`.
    Finished(Map<String, Value>),
    /// It was asked to stop and saved a checkpoint.
    Interrupted,
}

/// Told about progress: where the run is, for a progress bar.
#[derive(Clone, Debug)]
pub struct Status {
    /// Phase, from 1.
    pub phase: usize,
    /// Number of phases.
    pub phases: usize,
    /// Steps taken in the run.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Last test accuracy of the network that predicts.
    pub test_accuracy: Option<f64>,
}

/// What a run needs from outside.
pub struct Context<'a> {
    /// The device.
    pub device: &'a Device,
    /// Resolved config.
    pub config: &'a Config,
    /// The data set.
    pub data: &'a DataSet,
    /// Set by a signal: save and stop.
    pub stop: &'a AtomicBool,
    /// Save and stop before this step of the run, as a signal would: exact where a signal is not.
    pub stop_at: Option<u64>,
    /// Called about ten times a second at most.
    pub progress: &'a mut dyn FnMut(&Status),
}

/// A network and all that accompanies it through the phases.
pub(super) struct Session<'a> {
    pub(super) config: &'a Config,
    pub(super) device: &'a Device,
    pub(super) data: &'a DataSet,
    pub(super) trainer: Trainer,
    pub(super) phases: Vec<Phase>,
    tortoise: Option<Tortoise>,
    hare_reset: Option<HareReset>,
    shrink_perturb: Option<ShrinkPerturb>,
    head_reset: Option<HeadReset>,
    hare_evaluator: Evaluator,
    tortoise_evaluator: Option<Evaluator>,
    pub(super) progress: Progress,
    /// Steps whose metrics were read back.
    read: u64,
}

/// Runs, or resumes, the phases of a config in its folder under `out`. A config that is refused leaves no folder.
///
/// # Errors
/// Those of the device, of the folder, and a loss that is not finite.
pub fn run(context: &mut Context<'_>, out: &Path) -> Result<Outcome> {
    let started = Instant::now();
    let mut session = Session::new(context.config, context.device, context.data)?;
    let folder = &mut RunFolder::open(context.config, out)?;
    let resumed = session.resume(folder)?;
    let checkpoint_every = Duration::from_secs_f64(context.config.run.checkpoint_seconds);
    let (mut saved, mut shown) = (Instant::now(), Instant::now());
    let total = session.phases.iter().map(|phase| (phase.epochs * phase.batches) as u64).sum();

    while session.progress.phase < session.phases.len() {
        session.begin_phase(Some(folder))?;
        while session.progress.epoch < session.phase().epochs {
            while session.progress.batch < session.phase().batches {
                if context.stop.load(Ordering::Relaxed) || context.stop_at == Some(session.progress.step) {
                    session.save(folder)?;
                    return Ok(Outcome::Interrupted);
                }
                if saved.elapsed() >= checkpoint_every {
                    session.save(folder)?;
                    saved = Instant::now();
                }
                session.step()?;
                if session.progress.step - session.read == RING_ROWS as u64 {
                    session.read_metrics(folder)?;
                }
                if shown.elapsed() > Duration::from_millis(100) {
                    (context.progress)(&session.status(total));
                    shown = Instant::now();
                }
            }
            session.end_epoch()?;
            if session.evaluation_is_due() {
                session.evaluate(folder)?;
            }
        }
        session.read_metrics(folder)?;
        session.end_phase()?;
    }
    session.save(folder)?;
    (context.progress)(&session.status(total));
    let result = session.result(started.elapsed().as_secs_f64(), resumed);
    folder.finish(&result)?;
    if !context.config.run.keep_checkpoint {
        folder.remove_checkpoint()?;
    }
    Ok(Outcome::Finished(result))
}

impl<'a> Session<'a> {
    pub(super) fn new(config: &'a Config, device: &'a Device, data: &'a DataSet) -> Result<Self> {
        let mut trainer = Trainer::new(device, config, data)?;
        let phases = phases(config, &data.train.labels, data.train.classes)?;
        for (index, phase) in phases.iter().enumerate() {
            trainer.check_batches(phase).map_err(|error| {
                let (n, batch) = (phase.examples.len(), config.optimizer.batch);
                Error::Mismatch(format!("phase {index}, {n} examples in batches of {batch}: {error}"))
            })?;
        }
        let average = config.has("hare-tortoise") || config.has("ema");
        let tortoise = average.then(|| Tortoise::new(&trainer, config.intervention.momentum)).transpose()?;
        let needs_initial = config.has("shrink-perturb") || config.has("head-reset");
        let initial = if needs_initial {
            let values = trainer.model().parameters().initial_values(config.seed);
            Some(device.buffer_with("initial parameters", bytemuck::cast_slice(&values))?)
        } else {
            None
        };
        let (mut shrink_perturb, mut head_reset) = (None, None);
        if let Some(initial) = &initial {
            if config.has("shrink-perturb") {
                shrink_perturb = Some(ShrinkPerturb::new(&trainer, initial, config.intervention.keep)?);
            }
            if config.has("head-reset") {
                head_reset = Some(HeadReset::new(&trainer, initial)?);
            }
        }
        let hare = trainer.hare().clone();
        let hare_evaluator = trainer.evaluator(&hare)?;
        let tortoise_evaluator =
            tortoise.as_ref().map(|tortoise| trainer.evaluator(&tortoise.network().clone())).transpose()?;
        Ok(Self {
            config,
            device,
            data,
            trainer,
            phases,
            tortoise,
            hare_reset: HareReset::new(config),
            shrink_perturb,
            head_reset,
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
        if !self.progress.begun {
            self.trainer.clear_moments()?;
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
        (clock, progress.phase_step + 1, self.phase().learning_rate(self.config, progress.phase_step))
    }

    /// One step of the hare; the tortoise follows.
    pub(super) fn step(&mut self) -> Result<()> {
        let (clock, t, learning_rate) = self.clock();
        self.trainer.step(&clock, t, learning_rate, self.phase().examples.len())?;
        self.after_step()
    }

    pub(super) fn after_step(&mut self) -> Result<()> {
        if let Some(tortoise) = &self.tortoise {
            let shared = self.progress.after_reset && self.config.intervention.reset_shares_memory;
            if shared { tortoise.become_hare()? } else { tortoise.follow()? }
        }
        self.progress.after_reset = false;
        self.progress.batch += 1;
        self.progress.step += 1;
        self.progress.phase_step += 1;
        if self.hare_reset.is_some_and(|reset| reset.after_step(self.progress.phase_step as usize)) {
            self.reset_hare()?;
        }
        Ok(())
    }

    pub(super) fn end_epoch(&mut self) -> Result<()> {
        self.progress.batch = 0;
        self.progress.epoch += 1;
        self.progress.epochs += 1;
        if self.hare_reset.is_some_and(|reset| reset.after_epoch(self.progress.epoch)) {
            self.reset_hare()?;
        }
        Ok(())
    }

    fn reset_hare(&mut self) -> Result<()> {
        if let Some(tortoise) = &self.tortoise {
            tortoise.pull_hare()?;
        }
        if self.config.intervention.reset_moments {
            self.trainer.clear_moments()?;
        }
        self.progress.after_reset = true;
        Ok(())
    }

    /// What acts between two phases. After the last one it would only change a checkpoint that nobody has evaluated.
    pub(super) fn end_phase(&mut self) -> Result<()> {
        let another = self.progress.phase + 1 < self.phases.len();
        if let (true, Some(shrink_perturb)) = (another, &self.shrink_perturb) {
            shrink_perturb.apply()?;
        }
        if let (true, Some(head_reset)) = (another, &self.head_reset) {
            head_reset.apply()?;
        }
        self.progress.phase += 1;
        self.progress.epoch = 0;
        self.progress.begun = false;
        Ok(())
    }

    fn evaluation_is_due(&self) -> bool {
        self.progress.epochs.is_multiple_of(self.phase().evaluate_every) || self.is_last_epoch_to_score()
    }

    /// The end of the run is evaluated before the interventions that end a phase act.
    fn is_last_epoch_to_score(&self) -> bool {
        self.config.protocol.final_accuracy == FinalAccuracy::LastEpoch
            && self.progress.phase + 1 == self.phases.len()
            && self.progress.epoch == self.phase().epochs
    }

    /// Evaluates the hare, and the tortoise if there is one, which then is the one that predicts.
    fn evaluate(&mut self, folder: &mut RunFolder) -> Result<()> {
        self.read_metrics(folder)?;
        let hare = self.hare_evaluator.evaluate()?;
        let tortoise = self.tortoise_evaluator.as_ref().map(Evaluator::evaluate).transpose()?;
        let Evaluation { loss, top1, top5 } = tortoise.unwrap_or(hare);
        self.progress.scored = Some(Scored { loss, top1, top5 });
        let mut line = self.line();
        line.insert("test_loss".into(), json!(loss));
        line.insert("test_accuracy".into(), json!(top1));
        line.insert("test_accuracy_top5".into(), json!(top5));
        if let Some(tortoise) = tortoise {
            line.insert("hare_test_accuracy".into(), json!(hare.top1));
            line.insert("hare_test_loss".into(), json!(hare.loss));
            line.insert("tortoise_test_accuracy".into(), json!(tortoise.top1));
            line.insert("tortoise_test_loss".into(), json!(tortoise.loss));
        }
        folder.log(&line)
    }

    fn line(&self) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("step".into(), json!(self.progress.step));
        line.insert("epoch".into(), json!(self.progress.epochs));
        line.insert("phase".into(), json!(self.progress.phase));
        line
    }

    /// Reads the metrics ring and logs the epochs that are whole.
    fn read_metrics(&mut self, folder: &mut RunFolder) -> Result<()> {
        let (from, to) = (self.read, self.progress.step);
        if from == to {
            return Ok(());
        }
        let mut rows = Vec::with_capacity((to - from) as usize);
        self.trainer.metrics(from, to, |step, metrics| rows.push((step, metrics)))?;
        self.read = to;
        for (step, metrics) in rows {
            if !metrics.loss.is_finite() || !metrics.gradient_norm.is_finite() {
                return Err(self.not_finite(step, folder));
            }
            self.count(step, metrics, folder)?;
        }
        Ok(())
    }

    fn count(&mut self, step: u64, metrics: StepMetrics, folder: &mut RunFolder) -> Result<()> {
        let phase = self.phase();
        let (n, batches, batch) = (phase.examples.len(), phase.batches, self.config.optimizer.batch);
        // Steps are read within their phase: count back from where the run is now.
        let in_phase = self.progress.phase_step - (self.progress.step - step);
        let position = in_phase as usize % batches;
        let rows = batch.min(n - position * batch) as f64;
        let tally = &mut self.progress.tally;
        tally.loss += f64::from(metrics.loss) * rows;
        tally.hits += f64::from(metrics.hits);
        tally.rows += rows;
        tally.gradient_norm += f64::from(metrics.gradient_norm);
        tally.steps += 1;
        if position + 1 < batches {
            return Ok(());
        }
        let tally = std::mem::take(&mut self.progress.tally);
        self.progress.train_accuracy = tally.hits / tally.rows;
        let epochs_before: usize = self.phases[..self.progress.phase].iter().map(|phase| phase.epochs).sum();
        let mut line = Map::new();
        line.insert("step".into(), json!(step + 1));
        line.insert("epoch".into(), json!(epochs_before + in_phase as usize / batches + 1));
        line.insert("phase".into(), json!(self.progress.phase));
        line.insert("train_loss".into(), json!(tally.loss / tally.rows));
        line.insert("train_accuracy".into(), json!(self.progress.train_accuracy));
        line.insert("gradient_norm".into(), json!(tally.gradient_norm / tally.steps as f64));
        folder.log(&line)
    }

    fn status(&self, steps: u64) -> Status {
        Status {
            phase: (self.progress.phase + 1).min(self.phases.len()),
            phases: self.phases.len(),
            step: self.progress.step,
            steps,
            test_accuracy: self.progress.scored.map(|scored| scored.top1),
        }
    }

    /// Everything that is needed to go on exactly here.
    fn save(&mut self, folder: &mut RunFolder) -> Result<()> {
        self.read_metrics(folder)?;
        self.progress.metrics_bytes = folder.metrics_bytes();
        let mut file =
            File { state: serde_json::to_string(&self.progress).expect("plain data"), ..File::default() };
        self.trainer.save_network(&self.trainer.hare().clone(), "", &mut file)?;
        if let Some(tortoise) = &self.tortoise {
            self.trainer.save_network(tortoise.network(), "tortoise.", &mut file)?;
        }
        self.trainer.save_moments(&mut file)?;
        if !file.all_finite() {
            // The last update left something that is no number; the next loss would show it.
            return Err(self.not_finite(self.progress.step.saturating_sub(1), folder));
        }
        folder.save_checkpoint(&file)
    }

    /// Takes up a checkpoint, if the folder has one. Returns whether it did.
    fn resume(&mut self, folder: &mut RunFolder) -> Result<bool> {
        let Some(file) = folder.checkpoint()? else {
            folder.rewind_metrics(0)?;
            return Ok(false);
        };
        self.load(&file, folder)?;
        folder.rewind_metrics(self.progress.metrics_bytes)?;
        Ok(true)
    }

    /// Takes weights, moments and progress from a checkpoint.
    pub(super) fn load(&mut self, file: &File, folder: &RunFolder) -> Result<()> {
        let broken = |message: String| Error::Checkpoint {
            path: folder.path().join("checkpoint.safetensors"),
            message: format!("{message}; remove it to start this run from the beginning"),
        };
        let progress: Progress = serde_json::from_str(&file.state)
            .map_err(|error| broken(format!("it holds no training state ({error})")))?;
        if progress.run_id != self.config.run_id() {
            return Err(broken(format!("it belongs to the run {}", progress.run_id)));
        }
        let named = |error: Error| match error {
            Error::Engine(error @ engine::Error::Weights { .. }) => broken(error.to_string()),
            other => other,
        };
        self.trainer.load_network(&self.trainer.hare().clone(), "", file).map_err(named)?;
        if let Some(tortoise) = &self.tortoise {
            self.trainer.load_network(tortoise.network(), "tortoise.", file).map_err(named)?;
        }
        self.trainer.load_moments(file).map_err(named)?;
        self.read = progress.step;
        self.progress = progress;
        Ok(())
    }

    fn result(&self, seconds: f64, resumed: bool) -> Map<String, Value> {
        let scored =
            self.progress.scored.unwrap_or(Scored { loss: f64::NAN, top1: f64::NAN, top5: f64::NAN });
        let config = self.config;
        let Value::Object(result) = json!({
            "experiment": config.name,
            "method": config.intervention.method,
            "model": serde_json::to_value(&config.model).expect("plain data")["name"],
            "data": config.data.set,
            "seed": config.seed,
            "test_accuracy": scored.top1,
            "test_accuracy_top5": scored.top5,
            "test_loss": scored.loss,
            "train_accuracy": self.progress.train_accuracy,
            "steps": self.progress.step,
            "epochs": self.progress.epochs,
            "parameters": self.trainer.model().parameters().count(),
            "run_id": self.progress.run_id,
            "device": self.trainer.device().name(),
            "git_revision": option_env!("HT_GIT_REVISION"),
            "version": env!("CARGO_PKG_VERSION"),
            "seconds": (seconds * 1000.0).round() / 1000.0,
            "resumed": resumed,
        }) else {
            unreachable!("an object was written")
        };
        result
    }
}
