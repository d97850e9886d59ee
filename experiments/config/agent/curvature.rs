//! `[curvature]`: how the curvature of an agent's network is looked at, and of a random walk beside it.

use super::super::Error;
use super::super::check::{at_least_one, refused};
use super::{Agent, Environment, Output};
use serde::{Deserialize, Serialize};

/// Looks at the curvature of the online network (`experiments/agents/curvature.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curvature {
    /// Updates between two looks; the first comes before the first update.
    pub every: u64,
    /// Training images that are looked at, drawn by the seed.
    pub examples: usize,
    /// Clusters that the gradients of the examples are sorted into.
    pub clusters: usize,
    /// Products with the Hessian for each spectrum.
    pub hessian_steps: usize,
    /// Whether a second network begins as the agent's does and takes random steps of the lengths of the agent's updates
    /// (`experiments/agents/walk.rs`).
    pub walk: bool,
}

impl Curvature {
    pub(super) fn defaults() -> Self {
        Self { every: 5_000, examples: 512, clusters: 10, hessian_steps: 90, walk: false }
    }

    pub(super) fn check(&self, agent: &Agent, environment: &Environment) -> Result<(), Error> {
        at_least_one("curvature.every", usize::try_from(self.every).unwrap_or(usize::MAX))?;
        if !(2..=4096).contains(&self.examples) {
            return Err(refused("curvature.examples", self.examples, "it must be 2 to 4096"));
        }
        if let Some(images @ 1..) = environment.images
            && self.examples > images
        {
            let reason = format!("environment.images is {images}: there are not as many");
            return Err(refused("curvature.examples", self.examples, &reason));
        }
        if !(1..=self.examples).contains(&self.clusters) {
            return Err(refused("curvature.clusters", self.clusters, "it must be 1 to curvature.examples"));
        }
        if !(1..=1000).contains(&self.hessian_steps) {
            return Err(refused("curvature.hessian_steps", self.hessian_steps, "it must be 1 to 1000"));
        }
        if self.walk && agent.replay_ratio > 1.0 {
            let reason = "a walk takes its step after each update: at most 1 per step of the agent";
            return Err(refused("agent.replay_ratio", agent.replay_ratio, reason));
        }
        if agent.output != Output::Scalar {
            let reason = "it is that of values: agent.output must be \"scalar\"";
            return Err(refused("curvature.every", self.every, reason));
        }
        if !environment.task.is_of_classes() {
            let reason =
                "it is looked at on images of a set: environment.task must be true, random or sparse";
            return Err(refused("curvature.every", self.every, reason));
        }
        Ok(())
    }
}
