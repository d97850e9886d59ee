//! What a gradient rule is, and what it finds: the gradients so far, and where those of parameters go.

use super::Graph;
use super::tensor::{Storage, Tensor};
use crate::error::Result;
use kernels::arena::Copy;
use kernels::elementwise::Add;
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

    /// Where an operation writes its gradient of a parameter: straight into the arena when it is the only user, and into
    /// memory of its own where it is one of several or a kernel writes what nobody wants. To be followed by
    /// [`Gradients::written`] once the node that writes it is pushed.
    pub(crate) fn target(&self, graph: &mut Graph<'_>, parameter: Tensor) -> Tensor {
        match self.parameters.get(&parameter) {
            Some((1, None)) => graph.gradient(parameter),
            _ => graph.activation_like(parameter),
        }
    }

    /// Notes that `target` holds one use's gradient; sums it with the earlier ones, the last sum into the arena.
    pub(crate) fn written(&mut self, graph: &mut Graph<'_>, parameter: Tensor, target: Tensor) {
        let Some((uses, earlier)) = self.parameters.get_mut(&parameter) else { return };
        *uses -= 1;
        *earlier = Some(match *earlier {
            None => target,
            Some(earlier) => {
                let total =
                    if *uses == 0 { graph.gradient(parameter) } else { graph.activation_like(target) };
                sum(graph, earlier, target, total)
            }
        });
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
