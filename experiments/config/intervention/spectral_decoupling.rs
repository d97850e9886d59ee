//! `[intervention.spectral-decoupling]`.

use super::Options;
use crate::config::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Keys of `spectral-decoupling`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpectralDecouplingOptions {
    /// Factor of the penalty on logits.
    pub strength: f64,
    /// How that penalty is summed.
    pub form: SpectralForm,
}

/// How the penalty of spectral decoupling is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpectralForm {
    /// The mean over batch and classes (released code).
    Mean,
    /// Half of the sum over classes, the mean over the batch (its authors' paper).
    HalfSum,
}

impl Options for SpectralDecouplingOptions {
    fn defaults(_fidelity: Fidelity, _given: &Table) -> Self {
        Self { strength: 0.01, form: SpectralForm::Mean }
    }

    fn check(&self) -> Result<(), Error> {
        check::not_negative("intervention.spectral-decoupling.strength", self.strength)
    }
}
