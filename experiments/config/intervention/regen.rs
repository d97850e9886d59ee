//! `[intervention.regen]`.

use super::Options;
use crate::config::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Keys of `regen`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegenOptions {
    /// Factor of the distance from the first weights.
    pub strength: f64,
    /// Which distance that is.
    pub form: RegenForm,
}

/// Which distance from the first weights regenerative regularisation penalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegenForm {
    /// Half of the square of that of all parameters (its authors' code).
    Squared,
    /// That of the backbone's last tensor and that of the head's, not squared (released code).
    LastTensors,
}

impl Options for RegenOptions {
    fn defaults(fidelity: Fidelity, _given: &Table) -> Self {
        let form = if fidelity == Fidelity::Code { RegenForm::LastTensors } else { RegenForm::Squared };
        Self { strength: 0.01, form }
    }

    fn check(&self) -> Result<(), Error> {
        check::not_negative("intervention.regen.strength", self.strength)
    }
}
