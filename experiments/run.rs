//! A run of either kind: a classifier that is trained, or an agent that acts.

use crate::agents::dqn;
use crate::config::AnyConfig;
use crate::data_set;
use crate::error::Result;
use crate::lifecycle::{Context, Outcome};
use crate::protocols::phases;
use crate::schedule::lengths;
use data::DataSet;
use std::path::Path;

/// Runs, or resumes, a config in its folder under `out`.
///
/// # Errors
/// As [`phases::run`] and [`dqn::run`].
pub fn run(context: Context<'_, AnyConfig>, out: &Path) -> Result<Outcome> {
    match context.config {
        AnyConfig::Classifier(config) => phases::run(&mut context.of(config), out),
        AnyConfig::Agent(config) => dqn::run(&mut context.of(config), out),
    }
}

/// Steps of a run on `n` training images.
///
/// # Errors
/// A phase without images.
pub fn steps(config: &AnyConfig, n: usize) -> Result<u64> {
    Ok(match config {
        AnyConfig::Classifier(config) => {
            lengths(config, n)?.iter().map(|phase| (phase.epochs * phase.batches) as u64).sum()
        }
        AnyConfig::Agent(config) => config.agent.steps,
    })
}

/// Whether a run fits its data, as far as that can be seen before it begins.
///
/// # Errors
/// It does not.
pub fn check(config: &AnyConfig, data: &DataSet) -> Result<()> {
    data_set::check(config.shared(), data)?;
    steps(config, data.train.len()).map(drop)
}
