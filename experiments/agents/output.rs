//! What a network puts out for an action, and how it learns it.

use engine::ops::{Outcomes, ValueLoss};
use engine::{Graph, Result, Tensor};
use kernels::categorical::Support;
use kernels::value::Criterion;

/// What a network puts out for an action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output {
    /// Its value: the loss is a criterion of the error.
    Scalar,
    /// A distribution over bins, whose mean is the value: the loss is the cross-entropy against the two bins around the
    /// target (`kernels/categorical`).
    TwoHot(Support),
    /// A distribution over bins, of the return itself: the loss is the cross-entropy against the distribution of the reward
    /// and the discounted return of the next state, brought back to the bins (C51, `kernels/categorical`).
    Categorical(Support),
}

/// What a batch of transitions led to, as targets are made of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    /// Rewards, and what the next value counts.
    pub(super) outcomes: Outcomes,
    /// What the target network puts out for the states that were reached.
    pub(super) outputs: Tensor,
    /// What the online network does, where it selects the action.
    pub(super) selector: Option<Tensor>,
}

impl Output {
    /// Outputs per action.
    pub fn width(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::TwoHot(support) | Self::Categorical(support) => support.bins,
        }
    }

    /// Whether its bins can be.
    pub(super) fn check(self) -> std::result::Result<(), String> {
        match self {
            Self::TwoHot(Support { bins, smallest, largest })
            | Self::Categorical(Support { bins, smallest, largest })
                if bins < 2 || !(smallest < largest && smallest.is_finite() && largest.is_finite()) =>
            {
                Err(format!(
                    "{bins} bins from {smallest} to {largest}: there must be two at least, in this order"
                ))
            }
            _ => Ok(()),
        }
    }

    /// The values `[N, A]` that the outputs `[N, A width]` stand for.
    pub(super) fn values(self, graph: &mut Graph<'_>, outputs: Tensor) -> Result<Tensor> {
        match self {
            Self::Scalar => Ok(outputs),
            Self::TwoHot(support) | Self::Categorical(support) => {
                let logits = distributions(graph, outputs, support)?;
                graph.expected_value(logits, support)
            }
        }
    }

    /// The loss of the outputs at the actions taken `[N]` against what came next.
    pub(super) fn loss(
        self,
        graph: &mut Graph<'_>,
        outputs: Tensor,
        taken: Tensor,
        next: Next,
        criterion: Criterion,
    ) -> Result<ValueLoss> {
        let outcomes = next.outcomes;
        if let Self::Categorical(support) = self {
            let selecting = self.values(graph, next.selector.unwrap_or(next.outputs))?;
            let action = graph.greedy_action(selecting)?;
            let next_logits = distributions(graph, next.outputs, support)?;
            let distribution = graph.projection(next_logits, action, outcomes, support)?;
            let logits = distributions(graph, outputs, support)?;
            return graph.categorical_cross_entropy(logits, taken, distribution, None);
        }
        let next_q = self.values(graph, next.outputs)?;
        let selector = next.selector.map(|outputs| self.values(graph, outputs)).transpose()?;
        let target = graph.td_target(next_q, outcomes, selector)?;
        match self {
            Self::Scalar => graph.td_loss(outputs, taken, target, criterion, None),
            Self::TwoHot(support) | Self::Categorical(support) => {
                let logits = distributions(graph, outputs, support)?;
                let distribution = graph.two_hot(target, support)?;
                graph.categorical_cross_entropy(logits, taken, distribution, None)
            }
        }
    }
}

/// Outputs `[N, A B]` as logits `[N, A, B]`.
fn distributions(graph: &mut Graph<'_>, outputs: Tensor, support: Support) -> Result<Tensor> {
    let shape = graph.shape(outputs).to_vec();
    graph.reshape(outputs, &[shape[0], shape[1] / support.bins, support.bins])
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::checkpoint::{File, StoredValues};
    use engine::{Buffer, Clock, Device, Memory, Parameters, Plan, Workspace};
    use std::path::Path;

    /// The losses and gradients that PyTorch computed, on both devices.
    #[test]
    fn losses_and_gradients_are_those_of_pytorch() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/values.safetensors");
        let file = File::load(&path).unwrap();
        let gpu = Device::open("gpu", 0).or_else(|_| Device::open("llvmpipe", 0)).unwrap();
        let bins = Output::Categorical(Support { bins: 7, smallest: -1.0, largest: 2.0 });
        for device in [Device::cpu(2).unwrap(), gpu] {
            for (kind, output) in [("td", Output::Scalar), ("c51", bins)] {
                for double in [false, true] {
                    let name = format!("{kind}{}", if double { "_double" } else { "" });
                    let found = loss_and_gradient(&device, &file, kind, output, double);
                    for (part, found) in ["row_loss", "gradient"].into_iter().zip(found) {
                        let (_, expected) = file.floats(&format!("{name}.{part}")).unwrap();
                        let difference = expected.iter().zip(&found).map(|(a, b)| (a - b).abs());
                        let largest = difference.fold(0.0, f32::max);
                        assert!(largest < 2e-5, "{name}.{part} on {}: {largest}", device.name());
                    }
                }
            }
        }
    }

    fn loss_and_gradient(
        device: &Device,
        file: &File,
        kind: &str,
        output: Output,
        double: bool,
    ) -> [Vec<f32>; 2] {
        let (rows, actions) = (9, 3);
        let outputs = [rows, actions * output.width()];
        let words = |name: &str| -> Vec<u32> {
            match &file.tensors[name].values {
                StoredValues::F32(values) => values.iter().map(|value| value.to_bits()).collect(),
                StoredValues::Integers(values) => values.iter().map(|&value| value as u32).collect(),
            }
        };
        let none = Parameters::new();
        let mut graph = Graph::training(&none);
        let inputs: Vec<(String, Buffer, Tensor)> = ["now", "next", "selector"]
            .map(|part| (format!("{kind}.{part}"), &outputs[..]))
            .into_iter()
            .chain(["action", "reward", "discount"].map(|name| (name.to_string(), &outputs[..1])))
            .map(|(name, shape)| {
                let buffer = device.buffer_with(&name, &words(&name)).unwrap();
                let tensor = graph.input(&name, shape);
                (name, buffer, tensor)
            })
            .collect();
        let [now, next, selector, action, reward, discount] = std::array::from_fn(|i| inputs[i].2);
        let next = Next {
            outcomes: Outcomes { reward, discount },
            outputs: next,
            selector: double.then_some(selector),
        };
        let loss = output.loss(&mut graph, now, action, next, Criterion::Squared).unwrap();
        graph.output("row_loss", loss.row_loss);
        graph.output("gradient", loss.dpredicted);
        let slices: Vec<_> = inputs
            .iter()
            .map(|(name, buffer, tensor)| {
                (name.as_str(), buffer.slice(0, graph.shape(*tensor).iter().product()))
            })
            .collect();
        let memory = Memory { networks: &[], inputs: &slices };
        let bound = Plan::new(&graph).bind(device, &memory, &mut Workspace::default()).unwrap();
        device.compile(bound.launches).unwrap().run(&Clock::default()).unwrap();
        ["row_loss", "gradient"].map(|name| device.read_f32(&bound.outputs[name]).unwrap())
    }
}
