//! What an agent is like that learns values of actions.

use super::methods::Method;
use super::output::Output;
use super::synchronise::Target;
use crate::config::{self, AgentConfig, AgentIntervention, updates_after};
use crate::error::{Error, Result};
use crate::optimizer::AnyOptimizer;
use engine::optim::Adam;
use environments::{Environment, Exploration};
use kernels::categorical::Support;
use kernels::value::Criterion;
use models::Model;

/// What an agent is like.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Transitions of an update, at most `capacity`.
    pub batch: usize,
    /// Transitions that the replay holds.
    pub capacity: usize,
    /// Steps that are taken before the first update, which follows the last of them; at least `batch`.
    pub learning_starts: u64,
    /// Updates per step from then on, greater than 0.
    pub replay_ratio: f64,
    /// Discount per step, 0 to 1; 1 only where tasks end.
    pub discount: f64,
    /// Steps whose rewards a target adds up before it trusts the target network, 1 to 100.
    pub n_step: u32,
    /// How the target network follows the online one.
    pub target: Target,
    /// Updates between two copies of the online network to the target network, and between two resets of a method.
    pub target_period: u64,
    /// When an action is random.
    pub exploration: Exploration,
    /// Whether the online network selects the action whose value the target network gives.
    pub double: bool,
    /// What the network puts out for an action.
    pub output: Output,
    /// The loss of an error, where the network puts out values.
    pub criterion: Criterion,
    /// How parameters follow their gradients.
    pub optimizer: AnyOptimizer,
    /// Learning rate.
    pub learning_rate: f64,
    /// What keeps the network plastic.
    pub method: Method,
    /// Convolutions of 3x3 by Winograd's method where it is faster.
    pub winograd: bool,
}

/// The method of a config.
fn method(intervention: &AgentIntervention) -> Method {
    let AgentIntervention { hare_tortoise, shrink_perturb, l2, redo, .. } = intervention;
    match intervention.method() {
        Some(config::Method::HeadReset) => Method::LastLayerReset,
        Some(config::Method::OptimizerReset) => Method::OptimizerReset,
        _ => hare_tortoise
            .as_ref()
            .map(|options| Method::HareTortoise { reset_interval: options.reset_interval })
            .or(shrink_perturb
                .as_ref()
                .map(|options| Method::ShrinkPerturb { keep: options.keep, perturb: options.perturb }))
            .or(l2.as_ref().map(|options| Method::WeightDecay { strength: options.weight_decay }))
            .or(redo.as_ref().map(|options| Method::Redo { threshold: options.threshold }))
            .unwrap_or_default(),
    }
}

impl Default for Options {
    /// Those of the plasticity paper, or where it does not say, those that `docs/environments.md` gives reasons for.
    fn default() -> Self {
        Self {
            batch: 128,
            capacity: 100_000,
            learning_starts: 1_000,
            replay_ratio: 1.0,
            discount: 0.99,
            n_step: 1,
            target: Target::Copy,
            target_period: 1_000,
            exploration: Exploration::constant(0.1).expect("a probability"),
            double: false,
            output: Output::Scalar,
            criterion: Criterion::Squared,
            optimizer: Adam::default().into(),
            learning_rate: 1e-3,
            method: Method::None,
            winograd: true,
        }
    }
}

impl Options {
    /// Those of a config.
    ///
    /// # Errors
    /// An epsilon that is no probability.
    pub(super) fn of(config: &AgentConfig) -> Result<Self> {
        let (agent, optimizer) = (&config.agent, &config.optimizer);
        Ok(Self {
            batch: optimizer.batch,
            capacity: agent.capacity,
            learning_starts: agent.learning_starts,
            replay_ratio: agent.replay_ratio,
            discount: agent.discount,
            n_step: agent.n_step,
            target_period: agent.target_period,
            exploration: Exploration::constant(agent.epsilon)
                .map_err(|error| Error::Mismatch(error.to_string()))?,
            double: agent.double,
            criterion: match agent.criterion {
                config::Criterion::Squared => Criterion::Squared,
                config::Criterion::Huber => Criterion::Huber { threshold: 1.0 },
            },
            optimizer: AnyOptimizer::new(optimizer.kind(), &optimizer.rule, 0.0, optimizer.clip),
            learning_rate: optimizer.lr,
            target: match agent.target_momentum {
                0.0 => Target::Copy,
                momentum => Target::Average { momentum },
            },
            output: {
                let [smallest, largest] = agent.support;
                let support = Support { bins: agent.bins, smallest, largest };
                match agent.output {
                    config::Output::Scalar => Output::Scalar,
                    config::Output::TwoHot => Output::TwoHot(support),
                    config::Output::Categorical => Output::Categorical(support),
                }
            },
            method: method(&config.intervention),
            winograd: config.engine.winograd,
        })
    }

    /// The optimiser, with the method's weight decay if it has any.
    pub(super) fn decayed(&self) -> AnyOptimizer {
        match self.method {
            Method::WeightDecay { strength } => self.optimizer.with_coupled_decay(strength),
            _ => self.optimizer,
        }
    }

    /// Updates that are due after so many steps.
    pub fn updates_after(&self, steps: u64) -> u64 {
        updates_after(steps, self.learning_starts, self.replay_ratio)
    }

    /// What must hold before anything is built.
    pub(super) fn check(&self, model: &dyn Model, environment: &dyn Environment) -> Result<()> {
        let refuse = |message: String| Err(Error::Mismatch(message));
        let Options { batch, capacity, learning_starts, discount, n_step, target_period, .. } = *self;
        let (outputs, actions, width) =
            (model.input().classes, environment.actions() as usize, self.output.width());
        if outputs != actions * width {
            let of_bins = if width > 1 { format!(" with {width} bins each") } else { String::new() };
            return refuse(format!(
                "the network has {outputs} outputs, the environment {actions} actions{of_bins}"
            ));
        }
        if batch == 0 || capacity < batch {
            return refuse(format!("a replay of {capacity} transitions cannot give batches of {batch}"));
        }
        if learning_starts < batch as u64 {
            return refuse(format!(
                "learning that starts at step {learning_starts} has no batch of {batch} to draw"
            ));
        }
        let most = if environment.terminates() { 1.0 } else { 1.0f64.next_down() };
        if !(0.0..=most).contains(&discount) {
            return refuse(format!(
                "a discount of {discount}: it must be in [0, 1), or 1 where the task has an end"
            ));
        }
        if !(1..=100).contains(&n_step) || learning_starts < u64::from(n_step) {
            return refuse(format!(
                "returns over {n_step} steps: they must be 1 to 100, and no more than come before learning starts"
            ));
        }
        if target_period == 0 {
            return refuse("a target period of 0 updates: it must be at least 1".into());
        }
        if let Target::Average { momentum } = self.target
            && !(0.0..1.0).contains(&momentum)
        {
            return refuse(format!("a target that averages with momentum {momentum}: it must be in [0, 1)"));
        }
        self.output.check().map_err(Error::Mismatch)?;
        self.method.check(self.target).map_err(Error::Mismatch)
    }
}
