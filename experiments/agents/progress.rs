//! How far an agent's run is, and saving and taking it up exactly there.

use super::Learner;
use super::curvature::Curvature;
use super::transitions::Transitions;
use crate::checkpoint;
use crate::config::{AgentConfig, RunConfig};
use crate::error::Result;
use crate::lifecycle::other_data;
use crate::provenance::{DataIdentity, Segment, go_on};
use crate::run_folder::RunFolder;
use engine::Device;
use engine::checkpoint::File;
use environments::Environment;
use serde::{Deserialize, Serialize};

/// How far an agent's run is: the state of its checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Of the resolved config.
    pub(super) run_id: String,
    /// Steps taken.
    pub(super) step: u64,
    /// Updates of the online network.
    pub(super) updates: u64,
    /// Transitions that the replay was given; as many as steps in checkpoints that do not say.
    pub(super) appended: Option<u64>,
    /// The environment, as it saves itself.
    pub(super) environment: Vec<u8>,
    /// Sum of the rewards since the last line of metrics.
    pub(super) reward: f64,
    /// Sum of the rewards of the steps that are scored: the last tenth.
    pub(super) scored_reward: f64,
    /// Sum of the rewards of the episode so far.
    #[serde(default)]
    pub(super) episode: f64,
    /// Episodes that ended since the last line of metrics, and the sum of their returns.
    #[serde(default)]
    pub(super) ended: (u64, f64),
    /// The same of the steps that are scored.
    #[serde(default)]
    pub(super) scored_ended: (u64, f64),
    /// Of the last line of metrics.
    pub(super) reward_per_step: Option<f64>,
    /// Of the last line of metrics after the first update.
    pub(super) td_loss: Option<f64>,
    /// Of the last line of metrics after the first update.
    pub(super) mean_max_q: Option<f64>,
    /// Steps before the last probe.
    pub(super) probed: Option<u64>,
    /// Plasticity at the first probe and at the last one.
    pub(super) plasticity: Option<[f64; 2]>,
    /// At the last probe minus that of fresh networks.
    pub(super) against_fresh: Option<f64>,
    /// Updates before the last look at the curvature.
    pub(super) looked: Option<u64>,
    /// Of the transitions; those of earlier versions have none.
    pub(super) transitions_digest: Option<String>,
    /// Bytes of metrics.jsonl.
    pub(super) metrics_bytes: u64,
    /// What it acts on.
    pub(super) data: DataIdentity,
    /// What took its steps.
    pub(super) segments: Vec<Segment>,
}

impl Progress {
    /// The beginning of a run.
    pub(super) fn new(config: &AgentConfig) -> Self {
        Self { run_id: config.run_id(), ..Self::default() }
    }

    /// Steps at the end of a run whose rewards are its result: the last tenth.
    pub(super) fn scored_steps(steps: u64) -> u64 {
        steps.div_ceil(10)
    }

    /// Counts a step of a run of `steps`, which may be the last one of its episode.
    pub(super) fn count(&mut self, reward: f32, is_last: bool, steps: u64) {
        let (reward, is_scored) = (f64::from(reward), self.step + Self::scored_steps(steps) >= steps);
        self.reward += reward;
        self.episode += reward;
        if is_scored {
            self.scored_reward += reward;
        }
        if is_last {
            let back = std::mem::take(&mut self.episode);
            for ended in
                [Some(&mut self.ended), is_scored.then_some(&mut self.scored_ended)].into_iter().flatten()
            {
                *ended = (ended.0 + 1, ended.1 + back);
            }
        }
        self.step += 1;
    }

    /// Takes note of a probe at this step.
    pub(super) fn note_probe(&mut self, plasticity: f64, against_fresh: Option<f64>) {
        self.against_fresh = against_fresh;
        let first = self.plasticity.map_or(plasticity, |[first, _]| first);
        (self.plasticity, self.probed) = (Some([first, plasticity]), Some(self.step));
    }

    /// Saves everything that is needed to go on exactly here: the transitions first, which the checkpoint counts.
    pub(super) fn save(
        &mut self,
        (environment, learner): (&dyn Environment, &Learner),
        curvature: Option<&Curvature>,
        transitions: &mut Transitions,
        folder: &mut RunFolder,
    ) -> Result<()> {
        transitions.save()?;
        self.transitions_digest = Some(transitions.digest());
        self.environment = environment.save();
        self.updates = learner.updates();
        self.appended = Some(learner.appended());
        self.metrics_bytes = folder.metrics_bytes();
        if let Some(segment) = self.segments.last_mut() {
            segment.to_step = self.step;
        }
        let mut file = File { state: serde_json::to_string(&self).expect("plain data"), ..File::default() };
        learner.save(&mut file)?;
        curvature.map_or(Ok(()), |curvature| curvature.save(&mut file))?;
        if !file.all_finite() {
            return Err(learner.not_finite());
        }
        folder.save_checkpoint(&file)
    }

    /// Takes up the checkpoint of a folder, if there is one, and returns the transitions that go on, and whether it did.
    /// `note` is told what has changed meanwhile.
    pub(super) fn resume(
        &mut self,
        (environment, learner): (&mut dyn Environment, &mut Learner),
        curvature: &mut Option<Curvature>,
        folder: &mut RunFolder,
        (device, data): (&Device, &DataIdentity),
        note: &mut dyn FnMut(&str),
    ) -> Result<(Transitions, bool)> {
        let found = folder.checkpoint()?;
        if let Some(file) = &found {
            file.notes.iter().for_each(|line| note(line));
            let broken = |message: String| checkpoint::broken(folder, &message);
            if !file.all_finite() {
                return Err(broken("it holds a number that is not finite".into()));
            }
            let saved: Self = serde_json::from_str(&file.state)
                .map_err(|error| broken(format!("it holds no state of an agent ({error})")))?;
            if saved.run_id != self.run_id {
                return Err(broken(format!("it belongs to the run {}", saved.run_id)));
            }
            if saved.data.digest != data.digest {
                let origin = Some(saved.data.origin.as_str());
                return Err(other_data(folder.path(), "begun", &saved.data.digest, origin, data));
            }
            environment.restore(&saved.environment).map_err(|error| broken(error.to_string()))?;
            learner.load(file, saved.updates).map_err(checkpoint::broken_weights(folder))?;
            if let Some(curvature) = curvature {
                curvature.load(learner, file).map_err(checkpoint::broken_weights(folder))?;
            }
            *self = saved;
        }
        let words = learner.transition_words();
        let mut transitions =
            Transitions::open(folder.path(), words, self.step, self.transitions_digest.as_deref())?;
        let appended = self.appended.unwrap_or(self.step);
        let options = learner.options();
        let rows = self.step.min(options.capacity as u64 + u64::from(options.n_step) - 1);
        learner.refill(&transitions.last(rows as usize)?, appended)?;
        folder.rewind_metrics(self.metrics_bytes)?;
        self.data = data.clone();
        if let Some(moved) = go_on(&mut self.segments, Segment::here(device, self.step)) {
            note(&moved);
        }
        Ok((transitions, found.is_some()))
    }
}
