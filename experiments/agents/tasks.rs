//! The task of a config, and what the best agent can reach on it.

use crate::config::{self, AfterLast, AgentConfig};
use crate::error::{Error, Result};
use data::Images;
use environments::{ClassificationMdp, ClassificationOptions, Environment, Finite};

/// An environment, and how good an agent can be in it.
pub(super) struct Task {
    pub(super) environment: Box<dyn Environment>,
    /// Mean reward per step of the policy that is best without exploration, with the exploration of the config.
    pub(super) best_reward: f64,
}

impl Task {
    /// The task of a config over these images.
    ///
    /// # Errors
    /// More images than there are; a class without an image.
    pub(super) fn new(config: &AgentConfig, images: &Images) -> Result<Self> {
        let mismatch = |error: environments::Error| Error::Mismatch(format!("environment.{error}"));
        let after_last = match config.environment.after_last {
            AfterLast::Wrap => environments::AfterLast::Wrap,
            AfterLast::Uniform => environments::AfterLast::Uniform,
        };
        let options = ClassificationOptions {
            task: match config.environment.task {
                config::Task::True => environments::Task::True,
                config::Task::Random => environments::Task::Random,
                config::Task::Sparse => environments::Task::Sparse { after_last },
            },
            classes: images.classes as u32,
            images: match config.environment.images {
                0 => None,
                some => Some(some as u32),
            },
        };
        let environment =
            ClassificationMdp::new(&images.labels, options, u64::from(config.seed)).map_err(mismatch)?;
        let model = environment.model();
        let best = model.optimum(config.agent.discount).map_err(mismatch)?;
        let policy = model.epsilon_greedy(&best.actions, config.agent.epsilon);
        Ok(Self { best_reward: model.reward_per_step(&policy), environment: Box::new(environment) })
    }
}
