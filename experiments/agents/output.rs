//! What a network puts out for an action, and how it learns it.

use engine::ops::ValueLoss;
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
}

impl Output {
    /// Outputs per action.
    pub fn width(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::TwoHot(support) => support.bins,
        }
    }

    /// Whether its bins can be.
    pub(super) fn check(self) -> std::result::Result<(), String> {
        match self {
            Self::TwoHot(Support { bins, smallest, largest })
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
            Self::TwoHot(support) => {
                let logits = distributions(graph, outputs, support)?;
                graph.expected_value(logits, support)
            }
        }
    }

    /// The loss of the outputs at the actions taken `[N]` against target values `[N]`.
    pub(super) fn loss(
        self,
        graph: &mut Graph<'_>,
        outputs: Tensor,
        (taken, target): (Tensor, Tensor),
        criterion: Criterion,
    ) -> Result<ValueLoss> {
        match self {
            Self::Scalar => graph.td_loss(outputs, taken, target, criterion, None),
            Self::TwoHot(support) => {
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
