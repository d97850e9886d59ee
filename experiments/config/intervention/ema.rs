//! `[intervention.ema]`.

use super::Options;
use crate::config::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Keys of `ema`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaOptions {
    /// Share that the average keeps of itself in a step.
    pub momentum: f64,
}

impl Options for EmaOptions {
    fn defaults(_fidelity: Fidelity, _given: &Table) -> Self {
        Self { momentum: 0.999 }
    }

    fn check(&self) -> Result<(), Error> {
        check::share("intervention.ema.momentum", self.momentum)
    }
}
