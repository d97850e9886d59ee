//! A config of either kind, by what its layers say.

use super::resolve::laid_over;
use super::{AgentConfig, Config, Error, Layer, Methods, OptimizerKind, RunConfig};

/// What an experiment is.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyConfig {
    /// A classifier is trained.
    Classifier(Config),
    /// An agent acts.
    Agent(AgentConfig),
}

impl AnyConfig {
    /// Resolves layers as the kind that they are of: an agent's have a section `[environment]` or `[agent]`.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn resolve(layers: &[Layer]) -> Result<Self, Error> {
        Ok(match AgentConfig::is_meant(&laid_over(layers)) {
            true => Self::Agent(AgentConfig::resolve(layers)?),
            false => Self::Classifier(Config::resolve(layers)?),
        })
    }

    /// The methods that take part.
    pub fn methods(&self) -> Methods {
        match self {
            Self::Classifier(config) => config.intervention.method.clone(),
            Self::Agent(config) => config.intervention.method.clone(),
        }
    }

    /// How the network follows its gradients.
    pub fn optimizer_kind(&self) -> OptimizerKind {
        match self {
            Self::Classifier(config) => config.optimizer.kind(),
            Self::Agent(config) => config.optimizer.kind(),
        }
    }

    /// Whether convolutions of 3x3 may be computed by Winograd's method.
    pub fn winograd(&self) -> bool {
        match self {
            Self::Classifier(config) => config.engine.winograd,
            Self::Agent(config) => config.engine.winograd,
        }
    }

    /// What both kinds have.
    pub fn shared(&self) -> &dyn RunConfig {
        match self {
            Self::Classifier(config) => config,
            Self::Agent(config) => config,
        }
    }
}
