//! `result.json`: the final figures of a run, and where they come from.

use serde::Deserialize;
use std::collections::BTreeSet;

/// What is shown of it. A figure may be missing, or null where it was not a number.
#[derive(Debug, Deserialize)]
pub(crate) struct RunResult {
    pub(crate) test_accuracy: Option<f64>,
    pub(crate) test_loss: Option<f64>,
    pub(crate) train_accuracy: Option<f64>,
    /// Of an agent: mean over the last tenth of its steps.
    pub(crate) reward_per_step: Option<f64>,
    /// The same as a share of what the best agent gets.
    pub(crate) share_of_best: Option<f64>,
    pub(crate) mean_max_q: Option<f64>,
    pub(crate) td_loss: Option<f64>,
    pub(crate) seconds: Option<f64>,
    device: Option<String>,
    git_revision: Option<String>,
    /// SHA-256 of the images and labels.
    pub(crate) data_digest: Option<String>,
    /// Whether the images are the published ones, in words.
    pub(crate) data_origin: Option<String>,
    /// Runs of version 1 have none.
    segments: Option<Vec<Segment>>,
}

/// A stretch of steps on one device by one program.
#[derive(Debug, Deserialize)]
struct Segment {
    device: Option<String>,
    #[serde(alias = "isa")]
    instruction_set: Option<String>,
    revision: Option<String>,
    dirty: Option<bool>,
    from_step: Option<u64>,
    to_step: Option<u64>,
}

impl Segment {
    fn place(&self) -> Option<String> {
        let device = self.device.as_ref()?;
        Some(match &self.instruction_set {
            Some(set) => format!("{device} ({set})"),
            None => device.clone(),
        })
    }

    fn program(&self) -> Option<String> {
        let revision = self.revision.as_ref()?;
        Some(if self.dirty == Some(true) { format!("{revision} with changes") } else { revision.clone() })
    }

    fn describe(&self) -> String {
        let step = |step: Option<u64>| step.map_or_else(|| "?".to_string(), |step| step.to_string());
        let place = self.place().unwrap_or_else(|| "an unknown device".to_string());
        let program = self.program().unwrap_or_else(|| "not recorded".to_string());
        format!("steps {} to {} on {place}, revision {program}", step(self.from_step), step(self.to_step))
    }
}

impl RunResult {
    /// The devices that the run was on.
    pub(crate) fn devices(&self) -> BTreeSet<String> {
        match &self.segments {
            Some(segments) => segments.iter().filter_map(Segment::place).collect(),
            None => self.device.iter().cloned().collect(),
        }
    }

    /// The revisions of the programs that the run was made by.
    pub(crate) fn revisions(&self) -> BTreeSet<String> {
        match &self.segments {
            Some(segments) => segments.iter().filter_map(Segment::program).collect(),
            None => self.git_revision.iter().cloned().collect(),
        }
    }

    /// The stretches of a run that moved between devices or programs, in words.
    pub(crate) fn moves(&self) -> Option<String> {
        let segments = self.segments.as_ref().filter(|segments| segments.len() > 1)?;
        Some(segments.iter().map(Segment::describe).collect::<Vec<_>>().join("; "))
    }
}
