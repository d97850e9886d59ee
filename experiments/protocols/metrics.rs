//! What a run writes down: a line per epoch, a line per evaluation, and the result.

use super::phases::Session;
use super::progress::Scored;
use crate::error::Result;
use crate::run_folder::RunFolder;
use crate::trainer::{Evaluation, Evaluator, StepMetrics};
use serde_json::{Map, Value, json};

impl Session<'_> {
    /// Evaluates the hare, and the tortoise if there is one, which then is the one that predicts.
    pub(super) fn evaluate(&mut self, folder: &mut RunFolder) -> Result<()> {
        self.read_metrics(folder)?;
        let hare = self.hare_evaluator.evaluate()?;
        let tortoise = self.tortoise_evaluator.as_ref().map(Evaluator::evaluate).transpose()?;
        let networks = [("the test loss", Some(hare)), ("the test loss of the tortoise", tortoise)];
        for (what, evaluation) in networks {
            if evaluation.is_some_and(|evaluation| !evaluation.loss.is_finite()) {
                return Err(self.evaluation_not_finite(what, folder));
            }
        }
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
        let clock = self.clock().0;
        self.interventions.log(&clock, &mut line)?;
        if let Some(indicators) = &self.indicators {
            indicators.log(&self.trainer, &clock, self.progress.phase_step > 0, &mut line)?;
        }
        if let Some(hessian) = &self.hessian {
            hessian.log(&clock, &mut line)?;
        }
        if let Some(memorisation) = &self.memorisation {
            memorisation.log(&self.trainer, &clock, &mut line)?;
        }
        // A number that is none has no JSON.
        if let Some((key, _)) = line.iter().find(|(_, value)| value.is_null()) {
            return Err(self.evaluation_not_finite(key, folder));
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
    pub(super) fn read_metrics(&mut self, folder: &mut RunFolder) -> Result<()> {
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
        line.insert("learning_rate".into(), json!(self.phase().learning_rate(self.config, in_phase)));
        let last_phase = self.progress.phase + 1 == self.phases.len();
        let resets = self.interventions.resets(self.phase(), in_phase as usize / batches + 1, last_phase);
        if !resets.is_empty() {
            line.insert("resets".into(), json!(resets));
        }
        folder.log(&line)
    }

    pub(super) fn result(&self, seconds: f64, resumed: bool) -> Map<String, Value> {
        let scored = self.progress.scored.expect("every phase begins with an evaluation");
        let config = self.config;
        let Value::Object(result) = json!({
            "experiment": config.name,
            "method": config.intervention.method.to_string(),
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
            "data_digest": self.progress.data.as_ref().map(|data| &data.digest),
            "data_origin": self.progress.data.as_ref().map(|data| &data.origin),
            "segments": self.progress.segments,
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
