//! What a run costs, before it runs.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::schedule::lengths;
use engine::{Graph, NetworkId, Wanted};
use std::collections::BTreeMap;

/// Steps and floating-point operations of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Training steps.
    pub steps: u64,
    /// Floating-point operations of forward and backward in all training steps. Evaluations, the optimiser and what methods
    /// add come on top; together they are a few percent.
    pub flops: f64,
}

/// Costs of runs; a model is recorded once for all runs that share it.
#[derive(Debug, Default)]
pub struct Costs {
    per_example: BTreeMap<String, f64>,
}

impl Costs {
    /// The cost of a run on `n` training images.
    ///
    /// # Errors
    /// A phase without examples, a batch that the model cannot take.
    pub fn of(&mut self, config: &Config, n: usize) -> Result<Cost> {
        let mut cost = Cost::default();
        let (mut examples, mut batch) = (0.0, 0);
        for phase in lengths(config, n)? {
            cost.steps += (phase.epochs * phase.batches) as u64;
            examples += phase.epochs as f64 * phase.examples as f64;
            batch = batch.max(config.optimizer.batch.min(phase.examples));
        }
        let key = format!("{:?} {batch}", config.model);
        let per_example = match self.per_example.get(&key) {
            Some(&flops) => flops,
            None => {
                let model = config.model.build().map_err(Error::Mismatch)?;
                let mut graph = Graph::training(model.parameters());
                let input = model.input();
                let x = graph.input("x", &[batch, input.image_size, input.image_size, input.channels]);
                let y = graph.input("y", &[batch]);
                let logits = model.forward(&mut graph, x)?;
                let loss = graph.cross_entropy(logits, y)?;
                graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)])?;
                let flops = graph.flops() as f64 / batch as f64;
                self.per_example.insert(key, flops);
                flops
            }
        };
        cost.flops = examples * per_example;
        Ok(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::find;
    use approx::relative_eq;

    fn petaflops(preset: &str, n: usize) -> f64 {
        Costs::default().of(&Config::resolve(&[find(preset).unwrap()]).unwrap(), n).unwrap().flops / 1e15
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
        let config = Config::resolve(&[find("warm-start-mnist").unwrap()]).unwrap();
        assert_eq!(Costs::default().of(&config, 60_000).unwrap().steps, 24_000 + 26_085);
    }
}
