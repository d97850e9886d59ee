//! When a reset comes.

use serde::{Deserialize, Serialize};

/// Unit of the interval between resets.
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
    /// After the first interval: 10, 20, ... (the paper's text).
    AfterInterval,
}

impl FirstReset {
    /// As the released code has it, or the paper's text.
    pub(super) fn of(fidelity: super::Fidelity) -> Self {
        if fidelity == super::Fidelity::Paper { Self::AfterInterval } else { Self::AfterOne }
    }
}
