//! Values as distributions over fixed bins; formulas: `kernels::categorical`.

use super::value::{Outcomes, ValueLoss};
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use kernels::categorical::{CrossEntropy, ExpectedValue, Projection, Support, TwoHot};

impl Graph<'_> {
    /// The values that logits `[N, A, B]` stand for: `Σ_b softmax_b z_b`, `[N, A]`.
    ///
    /// # Errors
    /// Logits of another shape, or for another number of bins.
    pub fn expected_value(&mut self, logits: Tensor, support: Support) -> Result<Tensor> {
        let [rows, actions] = self.bins("expected_value", logits, support)?;
        let value = self.activation(&[rows, actions]);
        let kernel = ExpectedValue { rows: rows * actions, support };
        self.push("expected_value", kernel, &[logits, value], None);
        Ok(value)
    }

    /// Numbers `[N]` as distributions over the two bins around each, `[N, B]`.
    ///
    /// # Errors
    /// Numbers of another shape.
    pub fn two_hot(&mut self, target: Tensor, support: Support) -> Result<Tensor> {
        let &[rows] = self.shape(target) else {
            return Err(Error::shape("two_hot", format!("{:?} where [N] is expected", self.shape(target))));
        };
        let distribution = self.activation(&[rows, support.bins]);
        self.push("two_hot", TwoHot { rows, support }, &[target, distribution], None);
        Ok(distribution)
    }

    /// The distribution of `reward + discount z` of the action `next_action` `[N]` in the next state, whose logits are
    /// `[N, A, B]`, on the support again: `[N, B]` (C51).
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn projection(
        &mut self,
        next_logits: Tensor,
        next_action: Tensor,
        outcomes: Outcomes,
        support: Support,
    ) -> Result<Tensor> {
        let [rows, actions] = self.bins("projection", next_logits, support)?;
        for vector in [next_action, outcomes.reward, outcomes.discount] {
            self.expect("projection", vector, &[rows])?;
        }
        let distribution = self.activation(&[rows, support.bins]);
        let kernel = Projection { rows, actions, support };
        let tensors = [next_logits, next_action, outcomes.reward, outcomes.discount, distribution];
        self.push("projection", kernel, &tensors, None);
        Ok(distribution)
    }

    /// Cross-entropy of the logits `[N, A, B]` of the actions taken `[N]` against distributions `[N, B]`; importance
    /// `weight` `[N]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn categorical_cross_entropy(
        &mut self,
        logits: Tensor,
        action: Tensor,
        distribution: Tensor,
        weight: Option<Tensor>,
    ) -> Result<ValueLoss> {
        let op = "categorical_cross_entropy";
        let &[rows, actions, bins] = self.shape(logits) else {
            return Err(Error::shape(op, format!("{:?} where [N, A, B] is expected", self.shape(logits))));
        };
        self.expect(op, distribution, &[rows, bins])?;
        for vector in [action].into_iter().chain(weight) {
            self.expect(op, vector, &[rows])?;
        }
        let (dlogits, row_loss) = (self.activation_like(logits), self.activation(&[rows]));
        let kernel = CrossEntropy { rows, actions, bins, weighted: weight.is_some() };
        let mut tensors = vec![logits, action, distribution, dlogits, row_loss];
        tensors.extend(weight);
        self.push(op, kernel, &tensors, None);
        Ok(ValueLoss { predicted: logits, dpredicted: dlogits, row_loss })
    }

    /// Rows and actions of logits `[N, A, B]` over this support.
    fn bins(&self, op: &str, logits: Tensor, support: Support) -> Result<[usize; 2]> {
        match self.shape(logits) {
            &[rows, actions, bins] if bins == support.bins => Ok([rows, actions]),
            shape => {
                let bins = support.bins;
                Err(Error::shape(op, format!("{shape:?} where [N, A, {bins}] is expected")))
            }
        }
    }
}
