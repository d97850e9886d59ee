//! How plastic an agent's network still is: probe tasks on the states of its replay.

use super::{Learner, Output};
use crate::config::AgentConfig;
use crate::error::Result;
use crate::plasticity::{Look, Options, Predictions, Probe, ProbeResult, Seen};
use engine::ops::ValueLoss;
use engine::{Clock, Graph, Program, Tensor};
use kernels::random::pcg4d;
use kernels::value::Criterion;
use models::Model;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Third word of the counters that the seeds of probes and of fresh networks are drawn with.
const STREAM: u32 = 0x0ba6_e4b5;

/// Measures the online network of a learner.
#[derive(Debug)]
pub(super) struct Plasticity {
    /// From the replay to the inputs of the probe.
    draw: Program,
    probe: Probe,
    look: Look,
    /// Of draws and functions.
    seed: u32,
    /// First weights of the fresh networks.
    fresh: Vec<u32>,
    functions: usize,
}

/// What one probe found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    online: ProbeResult,
    fresh: Vec<ProbeResult>,
    seen: Seen,
}

impl Plasticity {
    /// As a config says; nothing where it asks for no probes.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn new(learner: &Learner, model: &dyn Model, config: &AgentConfig) -> Result<Option<Self>> {
        let Some(wanted) = &config.probe else { return Ok(None) };
        let (device, learns) = (&learner.device, learner.options());
        let word = |i: u32| pcg4d([i, 0, STREAM, config.seed])[0];
        let options = Options {
            inputs: wanted.inputs,
            batch: learns.batch,
            steps: wanted.steps,
            functions: wanted.functions,
            learning_rate: learns.learning_rate,
            seed: word(0),
            winograd: learns.winograd,
        };
        let probe = Probe::new(device, (model, &learns.output), options, Arc::new(learns.decayed()))?;
        let inputs = probe.inputs();
        Ok(Some(Self {
            draw: learner.draw_states(wanted.inputs, inputs)?,
            look: Look::new(device, model, learner.online(), (&inputs.buffer, wanted.inputs))?,
            seed: options.seed,
            fresh: (1..=wanted.fresh as u32).map(word).collect(),
            functions: wanted.functions,
            probe,
        }))
    }

    /// Measures the online network, and fresh ones on the same states. `go_on` is asked often, with what is being done:
    /// after a no nothing is known.
    ///
    /// # Errors
    /// A network that is not finite, or a function that diverges; those of the device.
    pub(super) fn measure(
        &mut self,
        learner: &Learner,
        go_on: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Option<Found>> {
        let (step, appended) = (learner.updates() as u32, learner.appended as u32);
        self.draw.run(&Clock { seed: self.seed, step, appended, ..Clock::default() })?;
        let seen = self.look.look()?;
        let (of, networks) = (self.functions, self.fresh.len() + 1);
        let mut told = |network: usize, k: usize| {
            go_on(&format!("probe: function {} of {of}, network {network} of {networks}", k + 1))
        };
        let Some(online) = self.probe.measure(learner.online(), &mut |k| told(1, k))? else {
            return Ok(None);
        };
        let mut fresh = Vec::new();
        for (index, &seed) in self.fresh.iter().enumerate() {
            match self.probe.measure_fresh(seed, &mut |k| told(index + 2, k))? {
                Some(result) => fresh.push(result),
                None => return Ok(None),
            }
        }
        Ok(Some(Found { online, fresh, seen }))
    }
}

impl Found {
    /// What the network learnt of the functions.
    pub(super) fn plasticity(&self) -> f64 {
        self.online.plasticity()
    }

    /// The same minus what fresh networks learnt of them on average, if there are any: what the states alone change is gone.
    pub(super) fn against_fresh(&self) -> Option<f64> {
        let sum: f64 = self.fresh.iter().map(ProbeResult::plasticity).sum();
        (!self.fresh.is_empty()).then(|| self.plasticity() - sum / self.fresh.len() as f64)
    }

    /// A line of metrics.
    pub(super) fn line(&self, step: u64, updates: u64) -> Map<String, Value> {
        let of = |result: &ProbeResult| {
            let losses: Vec<f64> = result.functions.iter().map(|function| function.loss).collect();
            json!({
                "plasticity": result.plasticity(),
                "loss": result.loss(),
                "losses": losses,
                "curve": result.curve(),
            })
        };
        let Seen { weight_norm, weight_rank, feature_rank, dead_units } = self.seen;
        let mut probe = of(&self.online);
        for (name, value) in [
            ("weight_norm", weight_norm),
            ("weight_rank", weight_rank),
            ("feature_rank", feature_rank),
            ("dead_units", dead_units),
        ] {
            probe[name] = json!(value);
        }
        if let Some(difference) = self.against_fresh() {
            probe["against_fresh"] = json!(difference);
        }
        probe["fresh"] = self.fresh.iter().map(of).collect();
        let line = [("step", json!(step)), ("updates", json!(updates)), ("probe", probe)];
        line.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
    }
}

impl Predictions for Output {
    fn of(&self, graph: &mut Graph<'_>, outputs: Tensor) -> engine::Result<Tensor> {
        self.values(graph, outputs)
    }

    /// Squared error of values; distributions learn by the cross-entropy against the two bins around each number.
    fn loss(&self, graph: &mut Graph<'_>, outputs: Tensor, wanted: Tensor) -> engine::Result<ValueLoss> {
        let support = match *self {
            Self::Scalar => return graph.regression(outputs, wanted, Criterion::Squared),
            Self::TwoHot(support) | Self::Categorical(support) => support,
        };
        // Every number is the value of the only action of a state.
        let rows = graph.shape(wanted).iter().product();
        let logits = graph.reshape(outputs, &[rows, 1, support.bins])?;
        let values = graph.expected_value(logits, support)?;
        let only = graph.greedy_action(values)?;
        let wanted = graph.reshape(wanted, &[rows])?;
        let distribution = graph.two_hot(wanted, support)?;
        graph.categorical_cross_entropy(logits, only, distribution, None)
    }
}
