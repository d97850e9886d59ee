//! `[intervention.shrink-perturb]`.

use super::Options;
use crate::config::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Keys of `shrink-perturb`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShrinkPerturbOptions {
    /// Which Shrink & Perturb is meant.
    pub variant: ShrinkPerturbVariant,
    /// Share of the trained weights that remains at the end of a phase, or of a step.
    pub keep: f64,
    /// Factor of the fresh weights that are added, where the variant draws them.
    pub perturb: f64,
}

/// Which Shrink & Perturb is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShrinkPerturbVariant {
    /// Between phases, toward the run's first weights.
    #[serde(rename = "hare-tortoise-2024")]
    HareTortoise2024,
    /// Between phases, adding a fresh draw; running statistics begin anew.
    #[serde(rename = "ash-adams-2020")]
    AshAdams2020,
    /// After every step, adding a fresh draw.
    #[serde(rename = "per-step")]
    PerStep,
}

impl Options for ShrinkPerturbOptions {
    /// The strengths follow the variant, as its authors publish them; those per step are of what they tried.
    fn defaults(_fidelity: Fidelity, given: &Table) -> Self {
        let (keep, perturb) = match given.get("variant").and_then(toml::Value::as_str) {
            Some("ash-adams-2020") => (0.4, 0.1),
            Some("per-step") => (1.0 - 1e-4, 1e-4),
            _ => (0.2, 0.0),
        };
        Self { variant: ShrinkPerturbVariant::HareTortoise2024, keep, perturb }
    }

    fn check(&self) -> Result<(), Error> {
        check::share("intervention.shrink-perturb.keep", self.keep)?;
        check::not_negative("intervention.shrink-perturb.perturb", self.perturb)
    }
}
