//! Losses and targets of networks that predict values: of actions (Q), of states (V), of anything real (probe tasks).
//!
//! A value network has one output per action, q `[N, A]`. With r the reward, n the steps that it spans, s' the state
//! behind them, and q, q' the networks that are called online and target:
//!
//! ```text
//! action     = argmax_a q[a]                                           GreedyAction
//! target     = r + discount bootstrap                                  TdTarget
//! bootstrap  = max_a q'(s')[a]                  Q-learning (Watkins 1989; Mnih and others 2015)
//!            = q'(s')[argmax_a q(s')[a]]        double Q-learning (van Hasselt, Guez and Silver 2016)
//! td_error   = target - q[action]
//! row_loss   = criterion(td_error)                                     TdLoss
//! dq[action] = -weight criterion'(td_error) / N, zero elsewhere
//! ```
//!
//! [`RecordValues`] keeps the means of row_loss and of `max_a q` of the last updates. [`Regression`] is the same for
//! predictions `[N, D]` that all have a target, and [`RegressionTangent`] is how its gradient moves. Gradients are those
//! of the mean over the rows of `weight row_loss`: importance weights scale gradients, while `row_loss` and `td_error`,
//! which priorities are made of, are without them. A target is a constant: nothing here has a gradient with respect to it.
//!
//! Ties go to the lowest action, as `argmax` has it. What has no meaning (a NaN, an infinite error, an action that is
//! none) makes the loss of its row NaN, so that it is found; each kernel says which gradients.
//!
//! With no rows, actions or columns nothing is defined.

pub(crate) mod cases;
mod criterion;
mod greedy_action;
mod record;
mod regression;
mod regression_tangent;
mod td_loss;
mod td_target;

pub use cases::cases;
pub use criterion::Criterion;
pub use greedy_action::GreedyAction;
pub use record::RecordValues;
pub use regression::Regression;
pub use regression_tangent::RegressionTangent;
pub use td_loss::TdLoss;
pub use td_target::TdTarget;

/// Threads of a workgroup where each takes a row.
const THREADS: usize = 64;

/// The grid of a launch whose threads each take a row, and stride over the rest.
pub(crate) fn grid(rows: usize) -> [u32; 3] {
    [rows.div_ceil(THREADS).min(65_535) as u32, 1, 1]
}
