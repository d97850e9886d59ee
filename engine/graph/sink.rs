//! Where the gradients of a network's parameters go. The rules of operations hand them over without knowing.

use super::Graph;
use super::tensor::{NetworkId, Storage, Tensor};
use crate::error::{Error, Result};
use kernels::per_example::{Scatter, SquaredNorms};

/// Where the gradients of a network's parameters go; nowhere if nobody wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    /// The sum over the examples into the gradient arena.
    Arena,
    /// That of every example into a row of this `[examples, words]`.
    Rows(Tensor),
    /// The squared norm of every example's into this `[examples]`.
    SquaredNorms(Tensor),
}

impl Sink {
    /// The tensor of a sink that keeps examples apart.
    pub(super) fn tensor(self) -> Option<Tensor> {
        match self {
            Self::Arena => None,
            Self::Rows(tensor) | Self::SquaredNorms(tensor) => Some(tensor),
        }
    }

    /// In how many groups of examples gradients are summed: in one, or each example is a group.
    pub(super) fn groups(self, graph: &Graph<'_>) -> usize {
        self.tensor().map_or(1, |tensor| graph.shape(tensor)[0])
    }

    /// Checks the tensor that is to take the gradients of a network.
    pub(super) fn check(self, graph: &Graph<'_>, network: NetworkId) -> Result<()> {
        let Some(tensor) = self.tensor() else { return Ok(()) };
        let (shape, words) = (graph.shape(tensor), graph.parameters(network).words());
        let (fits, expected) = match self {
            Self::Rows(_) => {
                (matches!(shape, &[n, width] if n > 0 && width == words), format!("[N, {words}]"))
            }
            _ => (matches!(shape, &[n] if n > 0), "[N]".to_string()),
        };
        if !fits || !matches!(graph.tensors[tensor.0].storage, Storage::Input(_)) {
            let message = format!("gradients of examples go into an input {expected}, not into {shape:?}");
            return Err(Error::shape("backward", message));
        }
        Ok(())
    }

    /// Brings the gradient of a parameter for every example, `[examples, ...]`, to where it goes. `first` says whether it
    /// is the first one of its network.
    pub(super) fn deliver(self, graph: &mut Graph<'_>, parameter: Tensor, gradient: Tensor, first: bool) {
        let (rows, columns) = (self.groups(graph), graph.len(parameter));
        let (segment, scale) = (graph.segment(parameter), rows as f32);
        match self {
            // It was written there.
            Self::Arena => {}
            Self::Rows(tensor) => {
                let words = graph.shape(tensor)[1];
                let kernel = Scatter { rows, columns, words, offset: segment.offset, scale };
                graph.push(format!("rows of {}", segment.name), kernel, &[gradient, tensor], None);
            }
            Self::SquaredNorms(tensor) => {
                let kernel = SquaredNorms { rows, columns, scale, add: !first };
                graph.push(format!("norms of {}", segment.name), kernel, &[gradient, tensor], None);
            }
        }
    }
}
