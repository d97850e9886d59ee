//! Mean softmax cross-entropy of logits `[N, C]` and labels `[N]`, with its gradient and the rank of each label, and what
//! may be added to it: squared logits, the divergence from a teacher.

use crate::error::{Error, Result};
use crate::graph::{Graph, Tangent, Tangents, Tensor};
use kernels::loss::{CrossEntropy, Distillation};
use kernels::softmax::{Softmax, SoftmaxTangent};

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

impl Loss {
    /// The logits and their gradient, as [`Graph::backward`] takes them.
    pub fn gradient(&self) -> (Tensor, Tensor) {
        (self.logits, self.dlogits)
    }
}

impl Graph<'_> {
    /// The loss of a classifier; the gradient comes with it, in one kernel.
    ///
    /// # Errors
    /// Logits that are not `[N, C]`, or labels that are not `[N]`.
    pub fn cross_entropy(&mut self, logits: Tensor, labels: Tensor) -> Result<Loss> {
        self.penalised_cross_entropy(logits, labels, 0.0)
    }

    /// The same plus `logit_penalty Σ_k z_k²` of each example's logits z.
    ///
    /// # Errors
    /// As [`Graph::cross_entropy`].
    pub fn penalised_cross_entropy(
        &mut self,
        logits: Tensor,
        labels: Tensor,
        logit_penalty: f64,
    ) -> Result<Loss> {
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
        let kernel = CrossEntropy { rows, classes, logit_penalty };
        self.push("cross_entropy", kernel, &[logits, labels, dlogits, row_loss, row_rank], None);
        self.moves(CrossEntropyTangent { logits, dlogits, logit_penalty });
        Ok(Loss { logits, dlogits, row_loss, row_rank })
    }

    /// Adds `weight KL(teacher || student)` of each example to a loss that has not been differentiated yet. `teacher` are
    /// logits `[N, C]` to which no gradient flows.
    ///
    /// # Errors
    /// Teacher's logits of another shape.
    pub fn distill(&mut self, loss: Loss, teacher: Tensor, weight: f64) -> Result<()> {
        let (shape, taught) = (self.shape(loss.logits), self.shape(teacher));
        let &[rows, classes] = shape else { unreachable!("cross_entropy took these logits") };
        if taught != shape {
            return Err(Error::shape("distill", format!("logits {shape:?}, of the teacher {taught:?}")));
        }
        let kernel = Distillation { rows, classes, weight };
        self.push("distillation", kernel, &[loss.logits, teacher, loss.dlogits, loss.row_loss], None);
        Ok(())
    }
}

#[derive(Debug)]
struct CrossEntropyTangent {
    logits: Tensor,
    dlogits: Tensor,
    logit_penalty: f64,
}

/// `dz' = (p (z' - Σ p z') + 2 c z') / rows`, with p the softmax of z and c the penalty.
impl Tangent for CrossEntropyTangent {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(logits) = tangents.of(graph, self.logits) else { return Ok(()) };
        let &[rows, columns] = graph.shape(self.logits) else {
            unreachable!("cross_entropy took these logits")
        };
        let (p, dlogits) = (graph.activation_like(self.logits), graph.activation_like(self.logits));
        graph.push("softmax", Softmax { rows, columns, scale: 1.0 }, &[self.logits, p], None);
        let shift = (2.0 * self.logit_penalty / rows as f64) as f32;
        let kernel = SoftmaxTangent { rows, columns, scale: 1.0 / rows as f32, shift };
        graph.push("cross_entropy tangent", kernel, &[p, logits, dlogits], None);
        tangents.set(graph, self.dlogits, dlogits);
        Ok(())
    }
}
