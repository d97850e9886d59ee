//! Losses and targets of networks that predict values; formulas: `kernels::value`.

use crate::error::{Error, Result};
use crate::graph::{Graph, Tangent, Tangents, Tensor};
use kernels::value::{Criterion, GreedyAction, Regression, RegressionTangent, TdLoss, TdTarget};

/// What a transition led to, as [`Graph::td_target`] reads it.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes {
    /// Reward, or the discounted sum of several, `[N]`.
    pub reward: Tensor,
    /// What the value of the state behind them counts, `[N]`: 0 where the task was over, else the discount per step to the
    /// power of the steps. An episode that was only cut off is not over.
    pub discount: Tensor,
}

/// A loss of values, of which [`ValueLoss::gradient`] goes to [`Graph::backward`].
#[derive(Clone, Copy, Debug)]
pub struct ValueLoss {
    /// What was predicted.
    pub predicted: Tensor,
    /// Gradient of the mean loss, of the shape of `predicted`.
    pub dpredicted: Tensor,
    /// Loss of each row, `[N]`, without importance weights.
    pub row_loss: Tensor,
}

impl ValueLoss {
    /// The predictions and their gradient, as [`Graph::backward`] takes them.
    pub fn gradient(&self) -> (Tensor, Tensor) {
        (self.predicted, self.dpredicted)
    }
}

impl Graph<'_> {
    /// `reward + discount bootstrap`, `[N]`, with `bootstrap = max_a next_q[a]` of `next_q` `[N, A]`;
    /// with a `selector` `[N, A]`, the values of the network that chooses, `next_q[argmax_a selector[a]]` (double
    /// Q-learning). Targets are constants.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn td_target(
        &mut self,
        next_q: Tensor,
        outcomes: Outcomes,
        selector: Option<Tensor>,
    ) -> Result<Tensor> {
        let [rows, actions] = self.matrix("td_target", next_q)?;
        for vector in [outcomes.reward, outcomes.discount] {
            self.expect("td_target", vector, &[rows])?;
        }
        if let Some(selector) = selector {
            self.expect("td_target", selector, &[rows, actions])?;
        }
        let target = self.activation(&[rows]);
        let kernel = TdTarget { rows, actions, double: selector.is_some() };
        let mut tensors = vec![next_q, outcomes.reward, outcomes.discount, target];
        tensors.extend(selector);
        self.push("td_target", kernel, &tensors, None);
        Ok(target)
    }

    /// The loss of `q` `[N, A]` at the actions taken `[N]`, integers, against `target` `[N]`; importance `weight` `[N]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn td_loss(
        &mut self,
        q: Tensor,
        action: Tensor,
        target: Tensor,
        criterion: Criterion,
        weight: Option<Tensor>,
    ) -> Result<ValueLoss> {
        let [rows, actions] = self.matrix("td_loss", q)?;
        for vector in [action, target].into_iter().chain(weight) {
            self.expect("td_loss", vector, &[rows])?;
        }
        let (dq, row_loss, td_error) =
            (self.activation_like(q), self.activation(&[rows]), self.activation(&[rows]));
        let kernel = TdLoss { rows, actions, criterion, weighted: weight.is_some() };
        let mut tensors = vec![q, action, target, dq, row_loss, td_error];
        tensors.extend(weight);
        self.push("td_loss", kernel, &tensors, None);
        Ok(ValueLoss { predicted: q, dpredicted: dq, row_loss })
    }

    /// The loss of predictions `[N, D]` against targets `[N, D]`, the mean over both axes.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn regression(
        &mut self,
        predicted: Tensor,
        target: Tensor,
        criterion: Criterion,
    ) -> Result<ValueLoss> {
        let [rows, columns] = self.matrix("regression", predicted)?;
        self.expect("regression", target, &[rows, columns])?;
        let (dpredicted, row_loss) = (self.activation_like(predicted), self.activation(&[rows]));
        let kernel = Regression { rows, columns, criterion, weighted: false };
        self.push("regression", kernel, &[predicted, target, dpredicted, row_loss], None);
        self.moves(MovedRegression { predicted, target, dpredicted, criterion });
        Ok(ValueLoss { predicted, dpredicted, row_loss })
    }

    /// The action of the largest value of each row of `q` `[N, A]`: integers `[N]`, the lowest of equal ones.
    ///
    /// # Errors
    /// Values that are not `[N, A]`.
    pub fn greedy_action(&mut self, q: Tensor) -> Result<Tensor> {
        let [rows, actions] = self.matrix("greedy_action", q)?;
        let action = self.activation(&[rows]);
        self.push("greedy_action", GreedyAction { rows, actions }, &[q, action], None);
        Ok(action)
    }

    /// The two axes of a tensor.
    fn matrix(&self, op: &str, tensor: Tensor) -> Result<[usize; 2]> {
        match self.shape(tensor) {
            &[rows, columns] => Ok([rows, columns]),
            shape => Err(Error::shape(op, format!("{shape:?} where [N, D] is expected"))),
        }
    }

    /// That a tensor has this shape.
    pub(crate) fn expect(&self, op: &str, tensor: Tensor, shape: &[usize]) -> Result<()> {
        match self.shape(tensor) {
            found if found == shape => Ok(()),
            found => Err(Error::shape(op, format!("{found:?} where {shape:?} is expected"))),
        }
    }
}

#[derive(Debug)]
struct MovedRegression {
    predicted: Tensor,
    target: Tensor,
    dpredicted: Tensor,
    criterion: Criterion,
}

/// Targets are constants.
impl Tangent for MovedRegression {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(predicted) = tangents.of(graph, self.predicted) else { return Ok(()) };
        let dpredicted = graph.activation_like(self.predicted);
        let kernel = RegressionTangent { len: graph.len(self.predicted), criterion: self.criterion };
        let tensors = [self.predicted, self.target, predicted, dpredicted];
        graph.push("regression tangent", kernel, &tensors, None);
        tangents.set(graph, self.dpredicted, dpredicted);
        Ok(())
    }
}
