//! The config of a run: strict, complete, and stored with its results.
//!
//! A run's config is the defaults (which depend on `fidelity` and on the model's name), overlaid by a preset or file,
//! overlaid by `--set` and `--seed`. The result names every key that takes part, each value in one canonical form, and the
//! run's id is made from it.

mod agent;
mod any;
mod check;
mod data;
mod error;
mod intervention;
mod layers;
mod optimizer;
mod optimizer_kind;
mod protocol;
mod resolve;
mod run;
mod run_config;
mod similar;
#[cfg(test)]
mod tests;
mod version;
mod words;

pub use agent::{
    AfterLast, Agent, AgentConfig, AgentIntervention, AgentOptimizer, AgentProbe, Criterion, Curvature,
    Environment, Output, Task, updates_after,
};
pub use any::AnyConfig;
pub(crate) use check::folder_name;
pub use data::{Data, TestStatistics};
pub use error::Error;
pub use intervention::{
    EmaOptions, FirstReset, HareTortoiseOptions, HeadResetOptions, Intervention, L2Options, Method, Methods,
    OptimizerResetOptions, RedoOptions, RegenForm, RegenOptions, ResetUnit, SelfDistillationOptions,
    ShrinkPerturbOptions, ShrinkPerturbVariant, SpectralDecouplingOptions, SpectralForm,
};
pub use layers::{Layer, parse_set};
pub(crate) use layers::{flattened, nested, overlay};
pub use optimizer::Optimizer;
pub use optimizer_kind::{OptimizerKind, Rule};
pub use protocol::{BufferOrder, FinalAccuracy, LastPhase, NoiseLabels, Protocol};
pub use resolve::resolve_model;
pub use run::{Engine, Run};
pub use run_config::RunConfig;
pub(crate) use similar::nearest;
pub use version::{MEANING, VERSION};

use models::ModelConfig;
use serde::{Deserialize, Serialize};
use toml::Table;

/// Where paper and released code disagree, which one is meant. Only defaults depend on it: each is a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fidelity {
    /// The choice that makes sense, question by question (`docs/fidelity.md`).
    Recommended,
    /// The method as the paper describes it.
    Paper,
    /// What the released code does.
    Code,
}

/// A resolved config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// [`VERSION`]: what the keys mean.
    pub version: u32,
    /// Name of the experiment: the folder of its runs.
    pub name: String,
    /// Seed of everything random.
    pub seed: u32,
    /// Paper, code, or recommended.
    pub fidelity: Fidelity,
    /// `[data]`
    pub data: Data,
    /// `[model]`
    pub model: ModelConfig,
    /// `[optimizer]`
    pub optimizer: Optimizer,
    /// `[protocol]`
    pub protocol: Protocol,
    /// `[intervention]`
    pub intervention: Intervention,
    /// `[engine]`
    pub engine: Engine,
    /// `[run]`
    pub run: Run,
}

impl RunConfig for Config {
    fn name(&self) -> &str {
        &self.name
    }

    fn seed(&self) -> u32 {
        self.seed
    }

    fn method(&self) -> String {
        self.intervention.method.short()
    }

    fn data(&self) -> Option<Data> {
        Some(self.data.clone())
    }

    fn model(&self) -> &ModelConfig {
        &self.model
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn to_table(&self) -> Table {
        Table::try_from(self).expect("a config is a table")
    }

    fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config is a table")
    }
}
