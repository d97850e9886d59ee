//! `[intervention.redo]`.

use super::Options;
use crate::config::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Keys of `redo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedoOptions {
    /// Largest score of a unit that counts as dormant.
    pub threshold: f64,
    /// Dormant units are recycled every so many epochs of a phase.
    pub interval: usize,
    /// Training examples on which units are scored.
    pub examples: usize,
    /// Whether dormant units are recycled, or only counted: in the released code `redo` has no effect.
    pub recycles: bool,
}

impl Options for RedoOptions {
    fn defaults(fidelity: Fidelity, _given: &Table) -> Self {
        Self { threshold: 0.1, interval: 5, examples: 256, recycles: fidelity != Fidelity::Code }
    }

    fn check(&self) -> Result<(), Error> {
        check::not_negative("intervention.redo.threshold", self.threshold)?;
        check::at_least_one("intervention.redo.interval", self.interval)?;
        check::at_least_one("intervention.redo.examples", self.examples)
    }
}
