//! Reverse-mode differentiation: walks the recorded nodes backwards and appends the gradient nodes.

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Storage, Tensor};
use crate::params::ParameterId;
use kernels::Access;
use kernels::arena::Copy;
use kernels::elementwise::Add;
use std::collections::{HashMap, HashSet};

/// The gradients found so far, by tensor.
#[derive(Debug, Default)]
pub(crate) struct Gradients {
    /// Gradient of each activation whose operation has not yet taken it, keyed by the tensor that owns the memory.
    of: HashMap<Tensor, Tensor>,
    /// The gradient of the logits, which belongs to whoever computed the loss.
    dlogits: Option<Tensor>,
    /// Uses of each parameter on the way to the loss that have not yet sent their gradient, and the sum so far.
    parameters: HashMap<ParameterId, (usize, Option<Tensor>)>,
}

impl Graph<'_> {
    /// Appends the operations that compute the gradient of `loss` with respect to every parameter into the gradient
    /// arena. `loss` is what [`Graph::cross_entropy`] returned.
    ///
    /// Every parameter on which the loss depends gets its gradient written once, so the arena needs no zeroing between
    /// runs; that of any other parameter is not written and stays as it is: zero.
    ///
    /// # Errors
    /// A shape that does not fit: a bug in a gradient rule.
    pub fn backward(&mut self, loss: crate::ops::Loss) -> Result<()> {
        self.walk(loss, 0).map(drop)
    }

    /// Appends the operations that compute the gradient of `loss` with respect to an activation, and goes back no further:
    /// so it may be asked for in an evaluation graph where a batch norm lies before the activation. The gradients of the
    /// parameters on the way are written too.
    ///
    /// # Errors
    /// The loss does not depend on `tensor`.
    pub fn gradient_of(&mut self, loss: crate::ops::Loss, tensor: Tensor) -> Result<Tensor> {
        let root = self.root(tensor);
        self.tensors[root.0].needs_gradient = true;
        let reads = |node: &Node| {
            let bindings = node.kernel.bindings();
            let mut uses = bindings.iter().zip(&node.tensors);
            uses.any(|(binding, used)| binding.access == Access::Read && self.root(*used) == root)
        };
        let first = self.nodes.iter().position(|node| node.gradient.is_some() && reads(node));
        let mut gradients = self.walk(loss, first.unwrap_or(self.nodes.len()))?;
        gradients.take(self, root).ok_or_else(|| {
            Error::shape(
                "gradient_of",
                format!("the loss does not depend on a tensor of {:?}", self.shape(tensor)),
            )
        })
    }

    /// Appends the gradients of the operations from the last back to number `first`; what is left over.
    fn walk(&mut self, loss: crate::ops::Loss, first: usize) -> Result<Gradients> {
        let mut gradients = Gradients::default();
        // Only uses that reach the loss will send a gradient.
        let mut reaches = HashSet::from([self.root(loss.logits)]);
        for node in self.nodes[first..].iter().rev().filter(|node| node.gradient.is_some()) {
            let bindings = node.kernel.bindings();
            let uses = || bindings.iter().zip(&node.tensors);
            if !uses().any(|(b, t)| b.access == Access::Write && reaches.contains(&self.root(*t))) {
                continue;
            }
            for (_, tensor) in uses().filter(|(binding, _)| binding.access == Access::Read) {
                reaches.insert(self.root(*tensor));
                if let Storage::Parameter(id) = &self.tensors[tensor.0].storage {
                    gradients.parameters.entry(*id).or_default().0 += 1;
                }
            }
        }
        gradients.dlogits = Some(loss.dlogits);
        gradients.add(self, loss.logits, loss.dlogits)?;
        for index in (first..self.nodes.len()).rev() {
            if let Some(rule) = self.nodes[index].gradient.take() {
                rule.backward(self, &mut gradients)?;
                self.nodes[index].gradient = Some(rule);
            }
        }
        Ok(gradients)
    }
}

impl Gradients {
    /// The gradient of an operation's output, if anything downstream depends on it. The operation may read it and hand
    /// it on.
    ///
    /// All that use the output come after the operation, so the sum is complete, and nobody else asks for it.
    pub(crate) fn take(&mut self, graph: &Graph<'_>, output: Tensor) -> Option<Tensor> {
        self.of.remove(&graph.root(output))
    }

    /// The same for an operation that overwrites the gradient. Where another tensor has the same gradient (an addition
    /// hands one to both of its inputs), this is a copy.
    pub(crate) fn take_exclusive(&mut self, graph: &mut Graph<'_>, output: Tensor) -> Option<Tensor> {
        let gradient = self.take(graph, output)?;
        if self.dlogits != Some(gradient) && !self.of.values().any(|&other| other == gradient) {
            return Some(gradient);
        }
        let shape = graph.shape(gradient).to_vec();
        let copy = graph.activation(&shape);
        graph.push("copy of a gradient", Copy { len: graph.len(gradient) }, &[copy, gradient], None);
        Some(copy)
    }

    /// Adds `gradient` to the gradient of `tensor`; inputs, which need none, are passed over.
    pub(crate) fn add(&mut self, graph: &mut Graph<'_>, tensor: Tensor, gradient: Tensor) -> Result<()> {
        let root = graph.root(tensor);
        if !graph.tensors[root.0].needs_gradient {
            return Ok(());
        }
        let total = match self.of.get(&root) {
            None => gradient,
            Some(&earlier) => sum(graph, earlier, gradient, None),
        };
        self.of.insert(root, total);
        Ok(())
    }

    /// Whether a gradient of `tensor` is wanted at all.
    pub(crate) fn wanted(&self, graph: &Graph<'_>, tensor: Tensor) -> bool {
        graph.tensors[graph.root(tensor).0].needs_gradient
    }

    /// Where an operation writes its gradient of a parameter: straight into the arena when it is the only user.
    /// To be followed by [`Gradients::written`] once the node that writes it is pushed.
    pub(crate) fn target(&self, graph: &mut Graph<'_>, id: ParameterId) -> Tensor {
        match self.parameters.get(&id) {
            Some((uses, Some(_))) if *uses >= 1 => {
                let shape = graph.parameters.trained()[id.0].shape.clone();
                graph.activation(&shape)
            }
            Some((uses, None)) if *uses > 1 => {
                let shape = graph.parameters.trained()[id.0].shape.clone();
                graph.activation(&shape)
            }
            _ => graph.gradient(id),
        }
    }

    /// Notes that `target` holds one use's gradient; sums it with the earlier ones, the last sum into the arena.
    pub(crate) fn written(&mut self, graph: &mut Graph<'_>, id: ParameterId, target: Tensor) {
        let Some((uses, earlier)) = self.parameters.get_mut(&id) else { return };
        *uses -= 1;
        *earlier = Some(match *earlier {
            None => target,
            Some(earlier) => sum(graph, earlier, target, (*uses == 0).then_some(id)),
        });
    }
}

/// Pushes `a + b`, into the gradient arena where a parameter is given.
fn sum(graph: &mut Graph<'_>, a: Tensor, b: Tensor, into: Option<ParameterId>) -> Tensor {
    let total = match into {
        Some(id) => graph.gradient(id),
        None => {
            let shape = graph.shape(a).to_vec();
            graph.activation(&shape)
        }
    };
    graph.push("sum of gradients", Add { len: graph.len(a) }, &[a, b, total], None);
    total
}
