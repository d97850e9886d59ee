//! `[intervention.optimizer-reset]`.

use super::{FirstReset, Options, ResetUnit};
use crate::config::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Keys of `optimizer-reset`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerResetOptions {
    /// Adam's moments and step count are cleared every so many epochs or steps of a phase.
    pub interval: usize,
    /// Unit of `interval`.
    pub unit: ResetUnit,
    /// When a phase's first reset comes.
    pub first_reset: FirstReset,
}

impl Options for OptimizerResetOptions {
    fn defaults(fidelity: Fidelity, _given: &Table) -> Self {
        Self { interval: 10, unit: ResetUnit::Epochs, first_reset: FirstReset::of(fidelity) }
    }

    fn check(&self) -> Result<(), Error> {
        check::at_least_one("intervention.optimizer-reset.interval", self.interval)
    }
}
