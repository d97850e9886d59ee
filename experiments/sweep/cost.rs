//! What a run costs, before it runs.

use crate::config::{AgentConfig, AnyConfig, Config, updates_after};
use crate::error::{Error, Result};
use crate::schedule::lengths;
use engine::{Graph, NetworkId, Wanted};
use models::ModelConfig;
use std::collections::BTreeMap;

/// Steps and floating-point operations of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Training steps; of an agent, steps in its environment.
    pub steps: u64,
    /// Floating-point operations of forward and backward in all training steps; of an agent, of both networks in all
    /// updates. Evaluations, actions, the optimiser and what methods add come on top; together they are a few percent.
    pub flops: f64,
}

/// Costs of runs; a model is recorded once for all runs that share it.
#[derive(Debug, Default)]
pub struct Costs {
    per_example: BTreeMap<String, [f64; 2]>,
}

impl Costs {
    /// The cost of a run on `n` training images.
    ///
    /// # Errors
    /// A phase without examples, a batch that the model cannot take.
    pub fn of(&mut self, config: &AnyConfig, n: usize) -> Result<Cost> {
        match config {
            AnyConfig::Classifier(config) => self.of_classifier(config, n),
            AnyConfig::Agent(config) => self.of_agent(config),
        }
    }

    fn of_agent(&mut self, config: &AgentConfig) -> Result<Cost> {
        let [training, forward] = self.per_example(&config.network(), config.optimizer.batch)?;
        let target = if config.agent.double { 2.0 * forward } else { forward };
        let updates =
            updates_after(config.agent.steps, config.agent.learning_starts, config.agent.replay_ratio) as f64;
        let flops = updates * config.optimizer.batch as f64 * (training + target);
        Ok(Cost { steps: config.agent.steps, flops })
    }

    fn of_classifier(&mut self, config: &Config, n: usize) -> Result<Cost> {
        let mut cost = Cost::default();
        let (mut examples, mut batch) = (0.0, 0);
        for phase in lengths(config, n)? {
            cost.steps += (phase.epochs * phase.batches) as u64;
            examples += phase.epochs as f64 * phase.examples as f64;
            batch = batch.max(config.optimizer.batch.min(phase.examples));
        }
        cost.flops = examples * self.per_example(&config.model, batch)?[0];
        Ok(cost)
    }

    /// Operations per example of forward and backward, and of forward alone.
    fn per_example(&mut self, model: &ModelConfig, batch: usize) -> Result<[f64; 2]> {
        let key = format!("{model:?} {batch}");
        if let Some(&flops) = self.per_example.get(&key) {
            return Ok(flops);
        }
        let model = model.build().map_err(Error::Mismatch)?;
        let input = model.input();
        let shape = [batch, input.image_size, input.image_size, input.channels];
        let mut graph = Graph::training(model.parameters());
        let (x, y) = (graph.input("x", &shape), graph.input("y", &[batch]));
        let logits = model.forward(&mut graph, x)?;
        let loss = graph.cross_entropy(logits, y)?;
        graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)])?;
        let mut alone = Graph::evaluation(model.parameters());
        let x = alone.input("x", &shape);
        model.forward(&mut alone, x)?;
        let flops = [graph.flops(), alone.flops()].map(|flops| flops as f64 / batch as f64);
        self.per_example.insert(key, flops);
        Ok(flops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::find;
    use approx::relative_eq;

    fn petaflops(preset: &str, n: usize) -> f64 {
        Costs::default().of(&AnyConfig::resolve(&[find(preset).unwrap()]).unwrap(), n).unwrap().flops / 1e15
    }

    #[test]
    fn warm_starts_cost_what_three_forward_passes_do() {
        // Multiply-adds of a forward pass per image: 0.555, 0.365 and 1.256 billion; two operations each, three passes.
        for (preset, n, expected) in [
            ("warm-start-cifar10-resnet18", 50_000, 36.0),
            ("warm-start-cifar100-vit-tiny", 50_000, 23.0),
            ("warm-start-tiny-imagenet-vgg16", 100_000, 161.0),
        ] {
            let cost = petaflops(preset, n);
            assert!(
                relative_eq!(cost, expected, max_relative = 0.1),
                "{preset}: {cost} PFLOP, {expected} expected"
            );
        }
    }

    #[test]
    fn steps_are_those_of_all_phases() {
        let config = AnyConfig::resolve(&[find("warm-start-mnist").unwrap()]).unwrap();
        assert_eq!(Costs::default().of(&config, 60_000).unwrap().steps, 24_000 + 26_085);
    }
}
