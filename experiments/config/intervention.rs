//! `[intervention]`: what keeps the network plastic.

use super::Fidelity;
use serde::{Deserialize, Serialize};

/// Which methods take part, and the keys of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intervention {
    /// `none`, `hare-tortoise`, `ema`, `shrink-perturb`, `head-reset`, `optimizer-reset`,
    /// `l2`, or several joined by `+`.
    pub method: String,
    /// Share that the tortoise keeps of itself in a step (`hare-tortoise`, `ema`).
    pub momentum: f64,
    /// A reset comes every so many epochs or steps: of the hare to the tortoise (`hare-tortoise`), of Adam's moments
    /// and step count (`optimizer-reset`).
    pub reset_interval: usize,
    /// Unit of `reset_interval`.
    pub reset_unit: ResetUnit,
    /// When a phase's first reset comes.
    pub first_reset: FirstReset,
    /// In the step after a reset the tortoise takes the hare's whole step, as in the released code, whose copy shares
    /// memory.
    pub reset_shares_memory: bool,
    /// Share of the trained weights that remains at the end of a phase (`shrink-perturb`).
    pub keep: f64,
    /// Weight decay in place of `optimizer.weight_decay` (`l2`).
    pub weight_decay: f64,
}

/// Unit of the reset interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetUnit {
    /// Epochs of the phase.
    Epochs,
    /// Steps of the phase.
    Steps,
}

/// When a phase's first reset comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstReset {
    /// After the first epoch (or step), then after each interval: 1, 11, 21, ... (released code).
    AfterOne,
    /// After the first interval: 10, 20, ... (paper).
    AfterInterval,
}

/// The methods that `intervention.method` may join.
pub const METHODS: [&str; 6] =
    ["hare-tortoise", "ema", "shrink-perturb", "head-reset", "optimizer-reset", "l2"];

impl Intervention {
    /// No method; the keys of each as published.
    pub(super) fn defaults(fidelity: Fidelity) -> Self {
        Self {
            method: "none".into(),
            momentum: 0.999,
            reset_interval: 10,
            reset_unit: ResetUnit::Epochs,
            first_reset: if fidelity == Fidelity::Paper {
                FirstReset::AfterInterval
            } else {
                FirstReset::AfterOne
            },
            reset_shares_memory: fidelity == Fidelity::Code,
            keep: 0.2,
            weight_decay: 0.1,
        }
    }
}
