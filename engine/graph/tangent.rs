//! What a tangent rule is, and what it finds: how tensors and their gradients move along a direction.

use super::Graph;
use super::tensor::{NetworkId, Storage, Tensor};
use crate::error::Result;
use kernels::arena::Fill;
use kernels::elementwise::Add;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

/// How an operation moves when what it reads moves along a direction: one implementation per file of `ops/` that has one.
pub(crate) trait Tangent: Debug {
    /// Sets the tangents of the outputs; at least one input moves.
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()>;

    /// Adds the tangents of the gradients of the inputs. A loss, which has no gradient rule, leaves it as it is.
    fn backward(&self, _graph: &mut Graph<'_>, _tangents: &mut Tangents) -> Result<()> {
        Ok(())
    }
}

/// The tangents found so far.
#[derive(Debug)]
pub(crate) struct Tangents {
    network: NetworkId,
    direction: NetworkId,
    /// Tangent of each activation that moves.
    of: HashMap<Tensor, Tensor>,
    /// What the forward rule of an operation left for the backward rule, keyed by its output.
    kept: HashMap<Tensor, Tensor>,
    /// The whole gradient of each activation that an operation made.
    gradients: HashMap<Tensor, Tensor>,
    /// Terms of the tangent of each gradient that nobody has taken.
    terms: HashMap<Tensor, Vec<Tensor>>,
    /// Tensors whose gradient moves.
    wanted: HashSet<Tensor>,
}

impl Tangents {
    /// None yet, for the parameters of `network` that move along those of `direction`.
    pub(super) fn new(network: NetworkId, direction: NetworkId, wanted: HashSet<Tensor>) -> Self {
        let (of, kept) = (HashMap::new(), HashMap::new());
        let (gradients, terms) = (HashMap::new(), HashMap::new());
        Self { network, direction, of, kept, gradients, terms, wanted }
    }

    /// How a tensor moves; `None` if it does not.
    pub(crate) fn of(&self, graph: &mut Graph<'_>, tensor: Tensor) -> Option<Tensor> {
        match graph.tensors[tensor.0].storage {
            Storage::Parameter(network, id) if network == self.network => {
                let shape = graph.shape(tensor).to_vec();
                Some(graph.fixed(Storage::Parameter(self.direction, id), &shape))
            }
            _ => self.of.get(&graph.origin(tensor)).copied(),
        }
    }

    /// The same, with zeros for what does not move.
    pub(crate) fn of_or_zero(&self, graph: &mut Graph<'_>, tensor: Tensor) -> Tensor {
        self.of(graph, tensor).unwrap_or_else(|| zero(graph, tensor))
    }

    /// Whether a tensor moves.
    pub(super) fn moves(&self, graph: &Graph<'_>, tensor: Tensor) -> bool {
        let parameter = match graph.tensors[tensor.0].storage {
            Storage::Parameter(network, _) => network == self.network,
            _ => false,
        };
        parameter || self.of.contains_key(&graph.origin(tensor))
    }

    /// Says how an output moves.
    pub(crate) fn set(&mut self, graph: &Graph<'_>, output: Tensor, tangent: Tensor) {
        self.of.insert(graph.origin(output), tangent);
    }

    /// Leaves a tensor for the backward rule of the operation that makes `output`.
    pub(crate) fn keep(&mut self, output: Tensor, tensor: Tensor) {
        self.kept.insert(output, tensor);
    }

    /// What the forward rule left.
    pub(crate) fn kept(&self, output: Tensor) -> Tensor {
        self.kept[&output]
    }

    /// Notes the gradient of an output, to which all who use it have added.
    pub(super) fn complete(&mut self, graph: &Graph<'_>, output: Tensor, gradient: Tensor) {
        self.gradients.insert(graph.origin(output), gradient);
    }

    /// The terms of the tangent of a parameter's gradient.
    pub(super) fn terms(&mut self, parameter: Tensor) -> Vec<Tensor> {
        self.terms.remove(&parameter).unwrap_or_default()
    }

    /// The gradient of an operation's output and its tangent, if the loss depends on the output.
    pub(crate) fn take(&mut self, graph: &mut Graph<'_>, output: Tensor) -> Option<[Tensor; 2]> {
        let origin = graph.origin(output);
        let gradient = self.gradients.remove(&origin)?;
        let terms = self.terms.remove(&origin).unwrap_or_default();
        let tangent = graph.sum(&terms).unwrap_or_else(|| zero(graph, gradient));
        Some([gradient, tangent])
    }

    /// Whether the gradient of `tensor` moves and somebody wants to know how.
    pub(crate) fn wanted(&self, graph: &Graph<'_>, tensor: Tensor) -> bool {
        self.wanted.contains(&graph.origin(tensor))
    }

    /// Adds a term to the tangent of the gradient of `tensor`, unless nobody wants it.
    pub(crate) fn add(&mut self, graph: &Graph<'_>, tensor: Tensor, term: Tensor) {
        if self.wanted(graph, tensor) {
            self.terms.entry(graph.origin(tensor)).or_default().push(term);
        }
    }
}

/// Zeros of the shape of a tensor.
fn zero(graph: &mut Graph<'_>, like: Tensor) -> Tensor {
    let zeros = graph.activation_like(like);
    graph.push("zero tangent", Fill { len: graph.len(zeros), value: 0.0 }, &[zeros], None);
    zeros
}

impl Graph<'_> {
    /// The sum of tensors of one length; `None` of none.
    pub(crate) fn sum(&mut self, terms: &[Tensor]) -> Option<Tensor> {
        let (&first, others) = terms.split_first()?;
        Some(others.iter().fold(first, |sum, &term| {
            let total = self.activation_like(sum);
            self.push("sum of tangents", Add { len: self.len(sum) }, &[sum, term, total], None);
            total
        }))
    }

    /// Says how the operation that was pushed last moves.
    pub(crate) fn moves(&mut self, rule: impl Tangent + 'static) {
        let node = self.nodes.last_mut().expect("an operation was pushed");
        node.tangent = Some(Box::new(rule));
    }
}
