//! `[intervention.l2]`.

use super::Options;
use crate::config::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Keys of `l2`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L2Options {
    /// Weight decay in place of `optimizer.weight_decay`.
    pub weight_decay: f64,
}

impl Options for L2Options {
    fn defaults(_fidelity: Fidelity, _given: &Table) -> Self {
        Self { weight_decay: 0.1 }
    }

    fn check(&self) -> Result<(), Error> {
        check::not_negative("intervention.l2.weight_decay", self.weight_decay)
    }
}
