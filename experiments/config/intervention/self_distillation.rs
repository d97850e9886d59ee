//! `[intervention.self-distillation]`.

use super::Options;
use crate::config::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Keys of `self-distillation`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfDistillationOptions {
    /// Share that the average keeps of itself in a step; joined with `hare-tortoise` or `ema`, theirs.
    pub momentum: f64,
    /// Factor of the divergence from the average.
    pub strength: f64,
}

impl Options for SelfDistillationOptions {
    fn defaults(_fidelity: Fidelity, _given: &Table) -> Self {
        Self { momentum: 0.999, strength: 1.0 }
    }

    fn check(&self) -> Result<(), Error> {
        check::share("intervention.self-distillation.momentum", self.momentum)?;
        check::not_negative("intervention.self-distillation.strength", self.strength)
    }
}
