//! `[walk]`: a random walk beside an agent, and how both are looked at.

use super::super::Error;
use super::super::check::{at_least_one, refused};
use super::{Agent, Output};
use serde::{Deserialize, Serialize};

/// A network that begins as the agent's does and takes random steps of the lengths of the agent's updates
/// (`experiments/agents/walk.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walk {
    /// Updates between two looks at the curvature of both networks; the first comes before the first update.
    pub every: u64,
    /// Training images that they are looked at with, drawn by the seed.
    pub examples: usize,
    /// Clusters that the gradients of the examples are sorted into.
    pub clusters: usize,
    /// Products with the Hessian for each spectrum.
    pub hessian_steps: usize,
}

impl Walk {
    pub(super) fn defaults() -> Self {
        Self { every: 5_000, examples: 512, clusters: 10, hessian_steps: 90 }
    }

    pub(super) fn check(&self, agent: &Agent) -> Result<(), Error> {
        at_least_one("walk.every", usize::try_from(self.every).unwrap_or(usize::MAX))?;
        if !(2..=4096).contains(&self.examples) {
            return Err(refused("walk.examples", self.examples, "it must be 2 to 4096"));
        }
        if !(1..=self.examples).contains(&self.clusters) {
            return Err(refused("walk.clusters", self.clusters, "it must be 1 to walk.examples"));
        }
        if !(1..=1000).contains(&self.hessian_steps) {
            return Err(refused("walk.hessian_steps", self.hessian_steps, "it must be 1 to 1000"));
        }
        if agent.replay_ratio > 1.0 {
            let reason = "a walk takes its step after each update: at most 1 per step of the agent";
            return Err(refused("agent.replay_ratio", agent.replay_ratio, reason));
        }
        if agent.output != Output::Scalar {
            return Err(refused(
                "agent.output",
                "\"two-hot\"",
                "the curvature of a walk is that of values: \"scalar\"",
            ));
        }
        Ok(())
    }
}
