//! Deep Q-networks (Mnih and others 2015) on tasks whose observations are images of a set that lies on the device.
//!
//! ```text
//! action  = random with probability epsilon, else argmax_a q(s)[a]
//! replay  = the last transitions (s, a, r, s', terminated); a batch is drawn uniformly, with replacement
//! target  = r + discount (1 - terminated) max_a q'(s')[a]          or with double Q-learning q'(s')[argmax_a q(s')[a]]
//! loss    = mean over the batch of criterion(target - q(s)[a])
//! q'      = q after every `target_period` updates
//! ```
//!
//! Per step the device gets two rows of the image set and three scalars, and gives back one action, where it is not random.
//! Everything else is one program per update: draw, fetch, gather both images, both networks, target, loss, gradient,
//! optimiser. A run is a function of options, seed and images.
//!
//! It deviates from the publication where the plasticity paper does (Lyle and others 2023): squared error, Adam, an update
//! after every step, epsilon constant.

use super::options::Options;
use super::q_learner::Learner;
use crate::error::{Error, Result};
use data::Images;
use engine::Device;
use environments::{Environment, Observation, ObservationKind};
use models::Model;

/// A learner that acts in an environment.
pub struct Dqn {
    environment: Box<dyn Environment>,
    learner: Learner,
    seed: u64,
    steps: u64,
    reward: f64,
}

impl std::fmt::Debug for Dqn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dqn").field("environment", &self.environment.description()).finish_non_exhaustive()
    }
}

impl Dqn {
    /// An agent at the first step of an environment that shows images of this set.
    ///
    /// # Errors
    /// Options that cannot be; an environment of other observations; as [`Learner::new`].
    pub fn new(
        device: &Device,
        model: &dyn Model,
        images: &Images,
        environment: Box<dyn Environment>,
        options: Options,
        seed: u32,
    ) -> Result<Self> {
        options.check(model, environment.as_ref())?;
        match environment.observation_kind() {
            ObservationKind::Image { images: count } if count as usize <= images.len() => {}
            other => {
                let message = format!("{other:?} where observations are images of a set of {}", images.len());
                return Err(Error::Mismatch(message));
            }
        }
        let learner = Learner::new(device, model, images, options, seed)?;
        Ok(Self { environment, learner, seed: u64::from(seed), steps: 0, reward: 0.0 })
    }

    /// One step: act, store, learn.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step(&mut self) -> Result<()> {
        let options = *self.learner.options();
        let state = self.seen();
        let action = match options.exploration.action(self.seed, self.steps, self.environment.actions()) {
            Some(action) => action,
            None => self.learner.greedy_action(state)?,
        };
        let step = self.environment.step(action).map_err(|error| Error::Mismatch(error.to_string()))?;
        self.learner.append(state, action, step, self.seen())?;
        self.reward += f64::from(step.reward);
        self.steps += 1;
        if step.is_last() {
            self.environment.reset();
        }
        if self.steps >= options.learning_starts {
            self.learner.update()?;
        }
        Ok(())
    }

    /// The image that the agent sees.
    fn seen(&self) -> u32 {
        match self.environment.observation() {
            Observation::Image(image) => image,
            _ => unreachable!("the kind of observation was checked"),
        }
    }

    /// The learner.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The sum of rewards since this was asked for last.
    pub fn take_reward(&mut self) -> f64 {
        std::mem::take(&mut self.reward)
    }
}
