//! How far a run is: the state of a checkpoint.

use crate::interventions::Memory;
use crate::provenance::{DataIdentity, Segment};
use serde::{Deserialize, Serialize};

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
    /// Steps of the phase taken.
    pub(super) phase_step: u64,
    /// What the methods keep from step to step.
    pub(super) methods: Memory,
    /// Sums over the current epoch's steps that were read back.
    pub(super) tally: Tally,
    /// Train accuracy of the last whole epoch.
    pub(super) train_accuracy: f64,
    /// The evaluation that is the run's result so far.
    pub(super) scored: Option<Scored>,
    /// Bytes of metrics.jsonl.
    pub(super) metrics_bytes: u64,
    /// What it is trained on; checkpoints of version 0.1.0 do not say.
    #[serde(default)]
    pub(super) data: Option<DataIdentity>,
    /// What took its steps.
    #[serde(default)]
    pub(super) segments: Vec<Segment>,
}

/// Sums over the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) loss: f64,
    pub(super) hits: f64,
    pub(super) rows: f64,
    pub(super) gradient_norm: f64,
    pub(super) steps: u64,
}

/// A test result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Scored {
    pub(super) loss: f64,
    pub(super) top1: f64,
    pub(super) top5: f64,
}
