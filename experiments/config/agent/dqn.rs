//! `[agent]` and `[optimizer]`: what the agent is like and how it learns.

use super::super::check::{at_least_one, not_negative, positive, refused, share, share_below_one};
use super::super::{Error, OptimizerKind, Rule};
use super::environment::Environment;
use serde::{Deserialize, Serialize};

/// A deep Q-network (`experiments/agents/dqn.rs`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Steps in the environment.
    pub steps: u64,
    /// Transitions that the replay holds.
    pub capacity: usize,
    /// Steps that are taken before the first update, which follows the last of them.
    pub learning_starts: u64,
    /// Updates per step from then on.
    pub replay_ratio: f64,
    /// Discount per step.
    pub discount: f64,
    /// Steps whose rewards a target adds up; 1 is not written.
    #[serde(default = "one_step", skip_serializing_if = "is_one_step")]
    pub n_step: u32,
    /// Updates between two target updates.
    pub target_period: u64,
    /// Probability of a random action.
    pub epsilon: f64,
    /// Whether the online network selects the action whose value the target network gives.
    pub double: bool,
    /// How the target network follows: 0 for a copy of the online network every `target_period` updates, else after every
    /// update `target <- momentum target + (1 - momentum) online`.
    pub target_momentum: f64,
    /// What the network puts out for an action.
    pub output: Output,
    /// Bins of a distribution; of a scalar output the default.
    pub bins: usize,
    /// Values of the first and the last bin; of a scalar output the default.
    pub support: [f64; 2],
    /// The loss of an error, where the output is a value; of another the default.
    pub criterion: Criterion,
    /// Steps between two lines of metrics.
    pub log_every: u64,
}

fn one_step() -> u32 {
    1
}

fn is_one_step(steps: &u32) -> bool {
    *steps == one_step()
}

/// What a network puts out for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Its value.
    Scalar,
    /// A distribution over bins, learnt by cross-entropy against the two bins around the target.
    TwoHot,
    /// A distribution of returns over bins, learnt by cross-entropy against that of the next state (C51).
    Categorical,
}

/// The loss of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// Its square.
    Squared,
    /// Half its square, beyond 1 its size less one half.
    Huber,
}

impl Agent {
    pub(super) fn defaults() -> Self {
        Self {
            steps: 100_000,
            capacity: 100_000,
            learning_starts: 1_000,
            replay_ratio: 1.0,
            discount: 0.99,
            n_step: one_step(),
            target_period: 1_000,
            epsilon: 0.1,
            double: false,
            target_momentum: 0.0,
            output: Output::Scalar,
            bins: 51,
            support: [0.0, 110.0],
            criterion: Criterion::Squared,
            log_every: 1_000,
        }
    }

    pub(super) fn check(&self, batch: usize, environment: &Environment) -> Result<(), Error> {
        for (key, value) in [
            ("agent.steps", self.steps),
            ("agent.target_period", self.target_period),
            ("agent.log_every", self.log_every),
        ] {
            // TOML has no greater whole numbers, and every count below stays exact.
            if !(1..=1 << 53).contains(&value) {
                return Err(refused(key, value, "it must be at least 1"));
            }
        }
        if self.capacity < batch {
            let reason = format!("it must be at least optimizer.batch, {batch}");
            return Err(refused("agent.capacity", self.capacity, &reason));
        }
        if self.learning_starts < batch as u64 {
            let reason = format!("there must be a batch to draw: at least optimizer.batch, {batch}");
            return Err(refused("agent.learning_starts", self.learning_starts, &reason));
        }
        let ends = environment.task.terminates();
        let most = if ends { 1.0 } else { 1.0f64.next_down() };
        if !(0.0..=most).contains(&self.discount) {
            let reason = match ends {
                true => "it must be in [0, 1]",
                false => "it must be in [0, 1): the task has no end, and its values must have one",
            };
            return Err(refused("agent.discount", self.discount, reason));
        }
        if !(1..=100).contains(&self.n_step) || u64::from(self.n_step) > self.learning_starts {
            let reason = "it must be 1 to 100, and no more than agent.learning_starts";
            return Err(refused("agent.n_step", self.n_step, reason));
        }
        share_below_one("agent.target_momentum", self.target_momentum)?;
        if !(2..=10_000).contains(&self.bins) {
            return Err(refused("agent.bins", self.bins, "it must be 2 to 10000"));
        }
        let [low, high] = self.support;
        if !(low.is_finite() && high.is_finite() && low < high) {
            let reason = "two finite numbers are needed, the smaller one first";
            return Err(refused("agent.support", format!("{:?}", self.support), reason));
        }
        let default = Self::defaults();
        if self.output != Output::Scalar && environment.task.terminates() && self.support == default.support {
            let reason = "it is made for the values of classification tasks: set the smallest and the largest value that \
                          this task can have, such as [-1, 1] for catch";
            return Err(refused("agent.support", format!("{:?}", self.support), reason));
        }
        let reason = "it has no effect with agent.output = \"scalar\"";
        if self.output == Output::Scalar && self.bins != default.bins {
            return Err(refused("agent.bins", self.bins, reason));
        }
        if self.output == Output::Scalar && self.support != default.support {
            return Err(refused("agent.support", format!("{:?}", self.support), reason));
        }
        if self.output != Output::Scalar && self.criterion != default.criterion {
            let reason = "it has an effect with agent.output = \"scalar\" only: distributions are learnt by cross-entropy";
            return Err(refused("agent.criterion", "\"huber\"", reason));
        }
        positive("agent.replay_ratio", self.replay_ratio)?;
        if self.replay_ratio > 1e4 {
            return Err(refused(
                "agent.replay_ratio",
                self.replay_ratio,
                "it must be at most 10000 updates per step",
            ));
        }
        share("agent.epsilon", self.epsilon)
    }
}

/// Updates that are due after so many steps.
pub fn updates_after(steps: u64, learning_starts: u64, replay_ratio: f64) -> u64 {
    let since = (steps + 1).saturating_sub(learning_starts);
    // A product of decimals must not count as a little more than it is.
    (since as f64 * replay_ratio * (1.0 - 1e-12)).ceil() as u64
}

/// How the network follows its gradients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentOptimizer {
    /// Transitions per update.
    pub batch: usize,
    /// Learning rate.
    pub lr: f64,
    /// The kind, where it is not `adam`, and its keys.
    #[serde(flatten)]
    pub rule: Rule,
    /// Largest global gradient norm; 0 means no clipping.
    pub clip: f64,
}

impl AgentOptimizer {
    /// The kinds of agents, whose weight decay is a method.
    pub(super) const KINDS: [(&'static str, OptimizerKind); 3] =
        [("adam", OptimizerKind::Adam), ("sgd", OptimizerKind::Sgd), ("rmsprop", OptimizerKind::RmsProp)];

    pub(super) fn defaults(kind: OptimizerKind) -> Self {
        Self { batch: 128, lr: 1e-3, rule: Rule::defaults(kind), clip: 0.0 }
    }

    /// How the network follows its gradients.
    pub fn kind(&self) -> OptimizerKind {
        self.rule.kind.unwrap_or(OptimizerKind::Adam)
    }

    /// Without the kind, which came after runs had been named by their configs, where it is the default.
    pub(super) fn brief(mut self) -> Self {
        self.rule.kind = self.rule.kind.filter(|kind| *kind != OptimizerKind::Adam);
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        at_least_one("optimizer.batch", self.batch)?;
        positive("optimizer.lr", self.lr)?;
        self.rule.check()?;
        not_negative("optimizer.clip", self.clip)
    }
}
