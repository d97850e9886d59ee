//! Training in phases: a fresh network is one phase, a warm start two, continual learning many.
//!
//! Phase k adds a share of the training set, drawn uniformly without replacement, and trains on all examples so far, with
//! label noise drawn anew for the whole set. It has `int(base_epochs / ratio)` epochs, a new optimiser and a new
//! schedule: the learning rate rises linearly over the first tenth of the phase's steps, `lr * min(1, k / W)` at step
//! k from 0, and stays. (Hare & Tortoise 2024, `src/trainers/base.py`; the defaults that differ by `fidelity` are listed
//! in `docs/fidelity.md`.)

use crate::config::{Config, FinalAccuracy, LastPhase, NoiseLabels};
use crate::error::{Error, Result};
use crate::interventions::{HareReset, HeadReset, ShrinkPerturb, Tortoise};
use crate::run_folder::RunFolder;
use crate::trainer::{Evaluation, Evaluator, StepMetrics, Trainer};
use crate::training_step::RING_ROWS;
use data::{DataSet, NoiseKind};
use engine::Device;
use engine::checkpoint::File;
use kernels::Clock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a phase trains on, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Rows of the training images.
    pub examples: Vec<u32>,
    /// Their labels, noise included.
    pub labels: Vec<u32>,
    /// Epochs.
    pub epochs: usize,
    /// Steps of an epoch; the last batch may be smaller.
    pub batches: usize,
    /// Steps over which the learning rate rises.
    pub warmup: usize,
    /// Epochs of the run between evaluations.
    pub evaluate_every: usize,
}

impl Phase {
    /// Learning rate of step `k` of the phase, from 0.
    pub fn learning_rate(&self, config: &Config, k: u64) -> f64 {
        if self.warmup == 0 {
            config.optimizer.lr
        } else {
            config.optimizer.lr * (k as f64 / self.warmup as f64).min(1.0)
        }
    }
}

/// `int(a / b)`, robust against a quotient that is an integer but for rounding.
fn int_quotient(a: usize, b: f64) -> usize {
    (a as f64 / b + 1e-9) as usize
}

/// All phases of a run, drawn before training starts.
///
/// # Errors
/// A phase without examples.
pub fn phases(config: &Config, labels: &[u32], classes: usize) -> Result<Vec<Phase>> {
    let (protocol, seed) = (&config.protocol, u64::from(config.seed));
    let chunks = data::phase_chunks(labels.len(), &protocol.ratios, seed);
    let kind = match protocol.noise_labels {
        NoiseLabels::OtherClasses => NoiseKind::ExcludeTrue,
        NoiseLabels::AllClasses => NoiseKind::Uniform,
    };
    let count = protocol.ratios.len();
    let mut phases = Vec::with_capacity(count);
    let mut steps = 0u64;
    for (index, (&ratio, &noise)) in protocol.ratios.iter().zip(&protocol.noise).enumerate() {
        let examples = data::accumulate(&chunks, index);
        if examples.is_empty() {
            return Err(Error::Mismatch(format!(
                "phase {index} has no example: protocol.ratios takes {ratio} of {} images",
                labels.len()
            )));
        }
        let clean: Vec<u32> = examples.iter().map(|&row| labels[row as usize]).collect();
        let last = index + 1 == count && count > 1;
        let epochs = match protocol.last_phase {
            LastPhase::Base if last => protocol.base_epochs,
            _ => int_quotient(protocol.base_epochs, ratio),
        };
        let batches = examples.len().div_ceil(config.optimizer.batch);
        steps = steps.saturating_add((epochs as u64).saturating_mul(batches as u64));
        if steps > u64::from(u32::MAX) {
            return Err(Error::Mismatch(format!(
                "the run would have {steps} steps by the end of phase {index}, at most {} can be counted: choose a \
                 smaller protocol.base_epochs",
                u32::MAX
            )));
        }
        phases.push(Phase {
            labels: data::noisy_labels(&clean, classes, noise, kind, seed, index),
            epochs: epochs.max(1),
            batches,
            warmup: data::subset::whole_part(epochs.max(1) * batches, config.optimizer.warmup),
            evaluate_every: int_quotient(protocol.evaluate_every, ratio).max(1),
            examples,
        });
    }
    Ok(phases)
}

/// How far a run is. Stored in the checkpoint; holds no time of day, so equal runs have equal checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    /// Of the resolved config.
    run_id: String,
    /// Phases finished.
    phase: usize,
    /// The current phase was begun: optimiser cleared, first evaluation logged.
    begun: bool,
    /// Epochs of the phase finished.
    epoch: usize,
    /// Batches of the epoch finished.
    batch: usize,
    /// Epochs of the run finished.
    epochs: usize,
    /// Steps of the run taken.
    step: u64,
    /// Steps of the phase taken: the optimiser's t.
    phase_step: u64,
    /// The last step was followed by a reset of the hare.
    after_reset: bool,
    /// Sums over the current epoch's steps that were read back.
    tally: Tally,
    /// Train accuracy of the last whole epoch.
    train_accuracy: f64,
    /// The evaluation that is the run's result so far.
    scored: Option<Scored>,
    /// Bytes of metrics.jsonl.
    metrics_bytes: u64,
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
struct Session<'a> {
    config: &'a Config,
    device: &'a Device,
    data: &'a DataSet,
    trainer: Trainer,
    phases: Vec<Phase>,
    tortoise: Option<Tortoise>,
    hare_reset: Option<HareReset>,
    shrink_perturb: Option<ShrinkPerturb>,
    head_reset: Option<HeadReset>,
    hare_evaluator: Evaluator,
    tortoise_evaluator: Option<Evaluator>,
    progress: Progress,
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
    fn new(config: &'a Config, device: &'a Device, data: &'a DataSet) -> Result<Self> {
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

    fn phase(&self) -> &Phase {
        &self.phases[self.progress.phase]
    }

    /// Prepares the current phase; at its very start the optimiser is new, and the networks are evaluated.
    fn begin_phase(&mut self, folder: Option<&mut RunFolder>) -> Result<()> {
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

    fn clock(&self) -> (Clock, u64, f64) {
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
    fn step(&mut self) -> Result<()> {
        let (clock, t, learning_rate) = self.clock();
        self.trainer.step(&clock, t, learning_rate, self.phase().examples.len())?;
        self.after_step()
    }

    fn after_step(&mut self) -> Result<()> {
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

    fn end_epoch(&mut self) -> Result<()> {
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
    fn end_phase(&mut self) -> Result<()> {
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
    fn load(&mut self, file: &File, folder: &RunFolder) -> Result<()> {
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

    /// The error for a value that is no number at `step`: finds the first one by running the steps since the last
    /// checkpoint again, which is exact, and looking at every value of the last two.
    fn not_finite(&self, step: u64, folder: &RunFolder) -> Error {
        let first = match self.first_not_finite(step, folder) {
            Ok(Some(first)) => first,
            Ok(None) => {
                "nothing when the steps since the last checkpoint were run again: a device that errs?".into()
            }
            Err(error) => format!("unknown, for the steps could not be run again ({error})"),
        };
        let epochs_before: usize = self.phases[..self.progress.phase].iter().map(|phase| phase.epochs).sum();
        let in_phase = self.progress.phase_step.saturating_sub(self.progress.step - step) as usize;
        Error::NonFinite {
            step,
            phase: self.progress.phase,
            epoch: epochs_before + in_phase / self.phase().batches + 1,
            first,
            kept: match folder.has_checkpoint() {
                true => format!("the last good checkpoint is kept in {}", folder.path().display()),
                false => "no checkpoint had been written yet".into(),
            },
        }
    }

    fn first_not_finite(&self, step: u64, folder: &RunFolder) -> Result<Option<String>> {
        let mut replay = Session::new(self.config, self.device, self.data)?;
        if let Some(file) = folder.checkpoint()? {
            replay.load(&file, folder)?;
        }
        while replay.progress.phase < replay.phases.len() {
            replay.begin_phase(None)?;
            while replay.progress.epoch < replay.phase().epochs {
                while replay.progress.batch < replay.phase().batches {
                    let now = replay.progress.step;
                    if now > step {
                        return Ok(None);
                    }
                    if now + 1 < step {
                        replay.step()?;
                    } else if let Some(found) = replay.step_checked()? {
                        return Ok(Some(format!("{found} in step {now}")));
                    }
                }
                replay.end_epoch()?;
            }
            replay.end_phase()?;
        }
        Ok(None)
    }

    /// As [`Session::step`], looking at every value that the hare's step writes.
    fn step_checked(&mut self) -> Result<Option<String>> {
        let (clock, t, learning_rate) = self.clock();
        let found = self.trainer.step_checked(&clock, t, learning_rate, self.phase().examples.len())?;
        self.after_step()?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_set;

    fn config(sets: &[&str]) -> Config {
        Config::resolve(&sets.iter().map(|set| parse_set(set).unwrap()).collect::<Vec<_>>()).unwrap()
    }

    fn labels(n: u32) -> Vec<u32> {
        (0..n).map(|i| i % 10).collect()
    }

    const WARM: [&str; 2] = ["protocol.ratios=[0.1, 0.9]", "protocol.noise=[0.5, 0]"];

    #[test]
    fn a_warm_start_on_mnist_has_the_published_counts() {
        let labels = labels(60_000);
        let phases = phases(&config(&WARM), &labels, 10).unwrap();
        let counts: Vec<_> =
            phases.iter().map(|p| (p.batches, p.epochs, p.batches * p.epochs, p.warmup)).collect();
        assert_eq!(counts, [(24, 1000, 24_000, 2_400), (235, 111, 26_085, 2_608)]);
        assert_eq!((phases[0].evaluate_every, phases[1].evaluate_every), (50, 5));
        let wrong = |phase: &Phase| {
            phase
                .examples
                .iter()
                .zip(&phase.labels)
                .filter(|(row, label)| labels[**row as usize] != **label)
                .count()
        };
        assert_eq!((wrong(&phases[0]), wrong(&phases[1])), (3_000, 0));
        assert_eq!(
            phases[1].examples[..6_000],
            phases[0].examples[..],
            "the second phase has the first one's images"
        );
    }

    #[test]
    fn fresh_training_has_the_published_counts() {
        let phases = phases(&config(&[]), &labels(60_000), 10).unwrap();
        let phase = &phases[0];
        assert_eq!((phase.batches * phase.epochs, phase.warmup, phase.evaluate_every), (23_500, 2_350, 5));
    }

    #[test]
    fn the_paper_has_100_epochs_in_phase_2_and_noise_over_all_classes() {
        let labels = labels(60_000);
        let mut sets = WARM.to_vec();
        sets.push("fidelity=paper");
        let phases = phases(&config(&sets), &labels, 10).unwrap();
        assert_eq!((phases[0].epochs, phases[1].epochs), (1000, 100));
        let wrong = phases[0]
            .examples
            .iter()
            .zip(&phases[0].labels)
            .filter(|(r, l)| labels[**r as usize] != **l)
            .count();
        assert!((2_600..2_800).contains(&wrong), "a tenth of 3,000 noisy labels stays right: {wrong}");
    }

    #[test]
    fn continual_learning_in_ten_phases_has_the_published_counts() {
        let sets = [
            "protocol.ratios=[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]",
            "protocol.noise=[0.5, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0]",
            "protocol.base_epochs=10",
        ];
        let labels = labels(50_000);
        let phases = phases(&config(&sets), &labels, 10).unwrap();
        let steps: Vec<_> = phases.iter().map(|p| p.batches * p.epochs).collect();
        assert_eq!(steps, [2000, 4000, 5900, 7900, 9800, 11_800, 13_700, 15_700, 17_600, 19_600]);
        let wrong: Vec<_> = phases
            .iter()
            .map(|p| p.examples.iter().zip(&p.labels).filter(|(r, l)| labels[**r as usize] != **l).count())
            .collect();
        assert_eq!(wrong, [2500, 4000, 6000, 6000, 7500, 6000, 7000, 4000, 4500, 0]);
    }

    #[test]
    fn the_learning_rate_rises_from_zero_and_stays() {
        let config = config(&WARM);
        let phase = &phases(&config, &labels(60_000), 10).unwrap()[0];
        let rate = |k| phase.learning_rate(&config, k);
        assert_eq!((rate(0), rate(1_200), rate(2_400), rate(23_999)), (0.0, 0.0005, 0.001, 0.001));
        let none = Phase { warmup: 0, ..phase.clone() };
        assert_eq!(none.learning_rate(&config, 0), 0.001);
    }

    #[test]
    fn an_empty_phase_is_refused() {
        let sets = ["protocol.ratios=[0.01]", "protocol.noise=[0]"];
        assert!(phases(&config(&sets), &labels(20), 10).unwrap_err().to_string().contains("phase 0"));
    }
}
