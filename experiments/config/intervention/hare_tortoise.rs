//! `[intervention.hare-tortoise]`.

use super::{FirstReset, Options, ResetUnit};
use crate::config::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Keys of `hare-tortoise`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HareTortoiseOptions {
    /// Share that the tortoise keeps of itself in a step.
    pub momentum: f64,
    /// The hare is reset to the tortoise every so many epochs or steps of a phase.
    pub reset_interval: usize,
    /// Unit of `reset_interval`.
    pub reset_unit: ResetUnit,
    /// When a phase's first reset comes.
    pub first_reset: FirstReset,
    /// In the step after a reset the tortoise takes the hare's whole step, as in the released code, whose copy shares
    /// memory.
    pub reset_shares_memory: bool,
}

impl Options for HareTortoiseOptions {
    fn defaults(fidelity: Fidelity, _given: &Table) -> Self {
        Self {
            momentum: 0.999,
            reset_interval: 10,
            reset_unit: ResetUnit::Epochs,
            first_reset: FirstReset::of(fidelity),
            reset_shares_memory: fidelity == Fidelity::Code,
        }
    }

    fn check(&self) -> Result<(), Error> {
        check::share("intervention.hare-tortoise.momentum", self.momentum)?;
        check::at_least_one("intervention.hare-tortoise.reset_interval", self.reset_interval)
    }
}
