//! What a gradient rule is, and what it finds: the gradients so far, and where those of parameters go.

use super::Graph;
use super::sink::Sink;
use super::tensor::{NetworkId, Storage, Tensor};
use crate::error::{Error, Result};
use kernels::arena::Copy;
use kernels::elementwise::Add;
use kernels::matmul::{Activation, Matmul};
use kernels::per_example::OuterNorms;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

/// How gradients flow back through an operation: one implementation per file of `ops/`.
pub(crate) trait Gradient: Debug {
    /// Reads the gradients of the outputs and adds those of the inputs.
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()>;
}

/// The gradients found so far.
#[derive(Debug, Default)]
pub(crate) struct Gradients {
    /// Gradient of each activation whose operation has not yet taken it, keyed by the tensor that it is the gradient of.
    of: HashMap<Tensor, Tensor>,
    /// Gradients that belong to whoever gave or asked for them: no operation may overwrite them.
    pub(super) kept: HashSet<Tensor>,
    /// Tensors that depend on one whose gradient is wanted, and these themselves.
    pub(super) wanted: HashSet<Tensor>,
    /// Uses of each wanted parameter that have not yet sent their gradient, and the sum so far.
    pub(super) parameters: HashMap<Tensor, (usize, Option<Tensor>)>,
    /// Where the gradients of a network's parameters go, if not into the gradient arena.
    pub(super) sinks: HashMap<NetworkId, Sink>,
    /// Sinks that hold something already.
    begun: HashSet<Tensor>,
}

impl Gradients {
    /// The gradient of an operation's output, if anything downstream depends on it. The operation may read it and hand
    /// it on.
    ///
    /// All that use the output come after the operation, so the sum is complete, and nobody else asks for it.
    pub(crate) fn take(&mut self, graph: &Graph<'_>, output: Tensor) -> Option<Tensor> {
        self.of.remove(&graph.origin(output))
    }

    /// The same for an operation that overwrites the gradient. Where another tensor has the same gradient (an addition
    /// hands one to both of its inputs), this is a copy.
    pub(crate) fn take_exclusive(&mut self, graph: &mut Graph<'_>, output: Tensor) -> Option<Tensor> {
        let gradient = self.take(graph, output)?;
        if !self.kept.contains(&gradient) && !self.of.values().any(|&other| other == gradient) {
            return Some(gradient);
        }
        let copy = graph.activation_like(gradient);
        graph.push("copy of a gradient", Copy { len: graph.len(gradient) }, &[copy, gradient], None);
        Some(copy)
    }

    /// The gradient of a tensor that no operation has taken.
    pub(super) fn of(&self, graph: &Graph<'_>, tensor: Tensor) -> Option<Tensor> {
        self.of.get(&graph.origin(tensor)).copied()
    }

    /// Adds `gradient` to the gradient of `tensor`, unless nobody wants it.
    pub(crate) fn add(&mut self, graph: &mut Graph<'_>, tensor: Tensor, gradient: Tensor) -> Result<()> {
        let origin = graph.origin(tensor);
        if !self.wanted.contains(&origin) {
            return Ok(());
        }
        let total = match self.of.get(&origin) {
            None => gradient,
            Some(&earlier) => {
                let total = graph.activation_like(earlier);
                sum(graph, earlier, gradient, total)
            }
        };
        self.of.insert(origin, total);
        Ok(())
    }

    /// Whether a gradient of `tensor` is wanted at all, be it an activation, an input or a parameter.
    pub(crate) fn wanted(&self, graph: &Graph<'_>, tensor: Tensor) -> bool {
        self.wanted.contains(&graph.origin(tensor))
    }

    fn sink(&self, graph: &Graph<'_>, parameter: Tensor) -> Sink {
        let Storage::Parameter(network, _) = graph.tensors[parameter.0].storage else {
            unreachable!("gradients of parameters are asked for by the parameter's tensor")
        };
        self.sinks.get(&network).copied().unwrap_or(Sink::Arena)
    }

    /// Whether the gradient of a parameter is summed over the examples.
    pub(super) fn sums(&self, graph: &Graph<'_>, parameter: Tensor) -> bool {
        self.sink(graph, parameter) == Sink::Arena
    }

    /// In how many groups an operation sums the gradient of a parameter over its `rows`: one, or one for each example. Its
    /// target has as many gradients, one behind the other.
    ///
    /// # Errors
    /// Rows that are not whole examples.
    pub(crate) fn groups(&self, graph: &Graph<'_>, parameter: Tensor, rows: usize) -> Result<usize> {
        let groups = self.sink(graph, parameter).groups(graph);
        if !rows.is_multiple_of(groups) {
            let name = &graph.segment(parameter).name;
            let message = format!("{rows} rows at {name} are not {groups} examples one behind the other");
            return Err(Error::shape("backward", message));
        }
        Ok(groups)
    }

    /// To be called by a rule of an operation whose outputs depend on several examples each.
    ///
    /// # Errors
    /// The gradients of single examples are wanted, which then do not exist.
    pub(crate) fn mixes_examples(&self, label: &str) -> Result<()> {
        match self.sinks.is_empty() {
            true => Ok(()),
            false => Err(Error::shape(
                label,
                "the statistics of a batch tie its examples together, so that none has a gradient of its own: \
                 record the network in evaluation mode",
            )),
        }
    }

    /// Where an operation writes its gradient of a parameter: straight into the arena when it is the only user, and into
    /// memory of its own where it is one of several, where a kernel writes what nobody wants, or where examples are kept
    /// apart. To be followed by [`Gradients::written`] once the node that writes it is pushed.
    pub(crate) fn target(&self, graph: &mut Graph<'_>, parameter: Tensor) -> Tensor {
        let sink = self.sink(graph, parameter);
        match self.parameters.get(&parameter) {
            Some((1, None)) if sink == Sink::Arena => graph.gradient(parameter),
            _ => {
                let shape = [&[sink.groups(graph)], graph.shape(parameter)].concat();
                graph.activation(&shape)
            }
        }
    }

    /// Notes that `target` holds one use's gradient; sums it with the earlier ones, and brings the last sum to where it
    /// goes.
    pub(crate) fn written(&mut self, graph: &mut Graph<'_>, parameter: Tensor, target: Tensor) {
        let sink = self.sink(graph, parameter);
        let Some((uses, earlier)) = self.parameters.get_mut(&parameter) else { return };
        *uses -= 1;
        let total = match *earlier {
            None => target,
            Some(earlier) => {
                let total = match *uses == 0 && sink == Sink::Arena {
                    true => graph.gradient(parameter),
                    false => graph.activation_like(target),
                };
                sum(graph, earlier, target, total)
            }
        };
        *earlier = Some(total);
        if *uses == 0 {
            let first = sink.tensor().is_some_and(|tensor| self.begun.insert(tensor));
            sink.deliver(graph, parameter, total, first);
        }
    }

    /// Records the gradient of a weight `[O, I]` that rows x `[rows, I]` were multiplied with: `Σ_rows d xᵀ`, with the
    /// gradient d `[rows, O]` of the products.
    ///
    /// # Errors
    /// Rows that are not whole examples.
    pub(crate) fn outer_products(
        &mut self,
        graph: &mut Graph<'_>,
        label: String,
        weight: Tensor,
        [d, x]: [Tensor; 2],
    ) -> Result<()> {
        // Not from the shape of d: a gradient has its tensor's numbers, but perhaps under another shape.
        let (&[rows, inputs], &[outputs, _]) = (graph.shape(x), graph.shape(weight)) else {
            unreachable!("checked when the node was recorded")
        };
        let groups = self.groups(graph, weight, rows)?;
        let only_use = matches!(self.parameters.get(&weight), Some((1, None)));
        if let (Sink::SquaredNorms(norms), true) = (self.sink(graph, weight), only_use && groups == rows) {
            let add = !self.begun.insert(norms);
            let kernel = OuterNorms { rows, outputs, inputs, scale: rows as f32, add };
            graph.push(label, kernel, &[d, x, norms], None);
            return Ok(());
        }
        let kernel = Matmul {
            batch: groups,
            m: outputs,
            n: inputs,
            k: rows / groups,
            a_transposed: true,
            b_transposed: false,
            bias: false,
            activation: Activation::None,
        };
        let target = self.target(graph, weight);
        graph.push(label, kernel, &[d, x, target], None);
        self.written(graph, weight, target);
        Ok(())
    }
}

/// Pushes `total = a + b`.
fn sum(graph: &mut Graph<'_>, a: Tensor, b: Tensor, total: Tensor) -> Tensor {
    graph.push("sum of gradients", Add { len: graph.len(a) }, &[a, b, total], None);
    total
}

impl Graph<'_> {
    /// The tensor in the gradient arena that belongs to a parameter.
    pub(super) fn gradient(&mut self, parameter: Tensor) -> Tensor {
        let Storage::Parameter(network, id) = self.tensors[parameter.0].storage else {
            unreachable!("gradients of parameters are kept by the parameter's tensor")
        };
        let shape = self.shape(parameter).to_vec();
        self.fixed(Storage::Gradient(network, id), &shape)
    }
}
