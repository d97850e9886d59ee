//! Regenerative regularisation, or L2 Init: a penalty on the distance from the run's first weights w0 (Kumar and others,
//! *Maintaining Plasticity in Continual Learning via Regenerative Regularization*, 2023).
//!
//! `squared`: `strength / 2 * Σ (w - w0)²` over all parameters, as in its authors' code; their paper has no 1/2. It is part
//! of the gradient, so it is clipped with it and goes through Adam's moments, and part of the loss that is logged.
//!
//! `last-tensors` is what the released code of Hare & Tortoise computes: a loop overwrites its sum, so that there remains
//! `strength * ||w - w0||`, not squared, of the tensor that the backbone creates last and of the head's last tensor, two
//! biases. The gradient of a distance of 0 is 0. The code sweeps 1, 0.1, ..., 1e-4; Kumar and others 1e-2 to 1e-5.

use crate::config::{RegenForm, RegenOptions};
use crate::training_step::{METRICS, RING_ROWS, StepMemory};
use engine::{Buffer, Launch};
use kernels::arena::{Distance, Regen};
use models::{HEAD, Model};
use std::sync::Arc;

/// The launches that add the penalty to the gradient and to the loss; `initial` holds the run's first weights.
pub(super) fn launches(
    memory: &StepMemory,
    model: &dyn Model,
    initial: &Buffer,
    options: &RegenOptions,
) -> Vec<Launch> {
    let parameters = model.parameters();
    let ranges = match options.form {
        RegenForm::Squared => vec![(0..parameters.words(), Distance::HalfSquare)],
        RegenForm::LastTensors => [model.last_backbone_tensor(), parameters.group(HEAD).next_back()]
            .into_iter()
            .flatten()
            .map(|segment| (segment.range(), Distance::Norm))
            .collect(),
    };
    let launch = |(range, distance): (std::ops::Range<usize>, Distance)| {
        let len = range.len();
        let strength = options.strength;
        let arena = |buffer: &Buffer| buffer.slice(range.start, len);
        Launch::new(
            "regen",
            Arc::new(Regen { len, strength, distance, ring_rows: RING_ROWS, words: METRICS }),
            vec![
                arena(&memory.network.parameters),
                arena(initial),
                arena(&memory.gradients),
                memory.ring.slice(0, RING_ROWS * METRICS),
            ],
        )
    };
    ranges.into_iter().map(launch).collect()
}
