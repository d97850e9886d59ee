//! `[intervention.head-reset]`.

use super::Options;
use crate::config::{Error, Fidelity};
use serde::{Deserialize, Serialize};
use toml::Table;

/// `head-reset` has no keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadResetOptions {}

impl Options for HeadResetOptions {
    fn defaults(_fidelity: Fidelity, _given: &Table) -> Self {
        Self {}
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}
