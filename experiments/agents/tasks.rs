//! The task of a config, and what the best agent can reach on it.

use crate::config::{self, AgentConfig};
use crate::error::{Error, Result};
use data::Images;
use environments::{AfterLast, Catch, Chain, ClassificationMdp, ClassificationOptions, Environment, Finite};

/// The best policy at a discount of 1 may be one that never ends an episode: it is looked for at this one.
const MOST: f64 = 0.999;

/// An environment, and how good an agent can be in it.
pub(super) struct Task {
    pub(super) environment: Box<dyn Environment>,
    /// Mean reward per step that can be reached with the exploration of the config: on a task with an end by the policy that
    /// is best with it, else by the one that is best without. Of a chain with a time limit it is that of the chain without.
    pub(super) best_reward: f64,
}

impl Task {
    /// The task of a config over these images, if it shows images.
    ///
    /// # Errors
    /// More images than there are; a class without an image; what the environment refuses.
    pub(super) fn new(config: &AgentConfig, images: &Images) -> Result<Self> {
        let (wanted, seed) = (&config.environment, u64::from(config.seed));
        let classification = |task| {
            let classes = images.classes as u32;
            let options = ClassificationOptions { task, classes, images: wanted.images_taken() };
            ClassificationMdp::new(&images.labels, options, seed)
        };
        match wanted.task {
            config::Task::True => Self::of(classification(environments::Task::True), config),
            config::Task::Random => Self::of(classification(environments::Task::Random), config),
            config::Task::Sparse => {
                let after_last = match wanted.after_last {
                    Some(config::AfterLast::Uniform) => AfterLast::Uniform,
                    Some(config::AfterLast::Wrap) | None => AfterLast::Wrap,
                };
                Self::of(classification(environments::Task::Sparse { after_last }), config)
            }
            config::Task::Catch => Self::of(Catch::new(wanted.size.unwrap_or(Catch::BOARD), seed), config),
            config::Task::Chain => Self::of(Chain::new(wanted.chain(), seed), config),
        }
    }

    fn of(environment: environments::Result<impl Finite + 'static>, config: &AgentConfig) -> Result<Self> {
        let mismatch = |error: environments::Error| Error::Mismatch(format!("environment.{error}"));
        let environment = environment.map_err(mismatch)?;
        let model = environment.model();
        let exploring = if environment.terminates() { config.agent.epsilon } else { 0.0 };
        let discount = config.agent.discount.min(MOST);
        let best = model.optimum_while_exploring(discount, exploring).map_err(mismatch)?;
        let policy = model.epsilon_greedy(&best.actions, config.agent.epsilon);
        Ok(Self { best_reward: model.reward_per_step(&policy), environment: Box::new(environment) })
    }
}
