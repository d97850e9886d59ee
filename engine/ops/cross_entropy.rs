//! Mean softmax cross-entropy of logits `[N, C]` and labels `[N]`, with its gradient and the rank of each label.

use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use kernels::loss::CrossEntropy;

/// What [`Graph::cross_entropy`] computes.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// The logits it was computed from, `[N, C]`.
    pub logits: Tensor,
    /// Gradient of the mean loss, `[N, C]`.
    pub dlogits: Tensor,
    /// Loss of each example, `[N]`.
    pub row_loss: Tensor,
    /// Number of classes that beat the true one, `[N]`, integers: 0 is a hit, below 5 a top-5 hit.
    pub row_rank: Tensor,
}

impl Graph<'_> {
    /// The loss of a classifier; the gradient comes with it, in one kernel.
    ///
    /// # Errors
    /// Logits that are not `[N, C]`, or labels that are not `[N]`.
    pub fn cross_entropy(&mut self, logits: Tensor, labels: Tensor) -> Result<Loss> {
        let &[rows, classes] = self.shape(logits) else {
            return Err(Error::shape("cross_entropy", format!("logits have shape {:?}", self.shape(logits))));
        };
        if self.shape(labels) != [rows] {
            let shapes = (self.shape(logits), self.shape(labels));
            return Err(Error::shape(
                "cross_entropy",
                format!("logits {:?}, labels {:?}", shapes.0, shapes.1),
            ));
        }
        let dlogits = self.activation(&[rows, classes]);
        let (row_loss, row_rank) = (self.activation(&[rows]), self.activation(&[rows]));
        let kernel = CrossEntropy { rows, classes };
        self.push("cross_entropy", kernel, &[logits, labels, dlogits, row_loss, row_rank], None);
        Ok(Loss { logits, dlogits, row_loss, row_rank })
    }
}
