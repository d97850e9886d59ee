//! What a probe task is like, and what comes out of it.

use crate::error::{Error, Result};
use engine::ops::ValueLoss;
use engine::{Graph, Tensor};

/// What the outputs of a network say, and how they are learnt.
pub trait Predictions {
    /// The numbers `[N, D]` that the outputs `[N, classes]` stand for.
    ///
    /// # Errors
    /// Outputs of another shape.
    fn of(&self, graph: &mut Graph<'_>, outputs: Tensor) -> engine::Result<Tensor>;

    /// The loss of the outputs against numbers `[N, D]`, the mean over both axes.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn loss(&self, graph: &mut Graph<'_>, outputs: Tensor, wanted: Tensor) -> engine::Result<ValueLoss>;
}

/// What a probe task is like.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rows of X.
    pub inputs: usize,
    /// Rows of a training batch.
    pub batch: usize,
    /// Training steps per function.
    pub steps: u64,
    /// Random functions.
    pub functions: usize,
    /// Learning rate.
    pub learning_rate: f64,
    /// Chooses functions and batches.
    pub seed: u32,
    /// Convolutions of 3x3 by Winograd's method where it is faster.
    pub winograd: bool,
}

/// One function.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionResult {
    /// Mean squared error on all of X after the last step.
    pub loss: f64,
    /// Variance of the targets on X.
    pub variance: f64,
    /// Mean squared error of the batches of steps 0, 50, 100, ..., before the step.
    pub curve: Vec<f64>,
}

/// How well a network fits the functions.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeResult {
    /// In the order of their seeds.
    pub functions: Vec<FunctionResult>,
}

impl ProbeResult {
    fn mean(&self, of: impl Fn(&FunctionResult) -> f64) -> f64 {
        self.functions.iter().map(of).sum::<f64>() / self.functions.len() as f64
    }

    /// Mean loss of the functions.
    pub fn loss(&self) -> f64 {
        self.mean(|function| function.loss)
    }

    /// Mean variance of the targets minus mean loss: what was learnt.
    pub fn plasticity(&self) -> f64 {
        self.mean(|function| function.variance) - self.loss()
    }

    /// The mean curve of the functions.
    pub fn curve(&self) -> Vec<f64> {
        let points = self.functions.first().map_or(0, |function| function.curve.len());
        (0..points).map(|at| self.mean(|function| function.curve[at])).collect()
    }
}

impl Options {
    /// What must hold before anything is built.
    pub(super) fn check(&self) -> Result<()> {
        let Self { inputs, batch, steps, functions, .. } = *self;
        for (what, size) in [
            ("inputs", inputs as u64),
            ("rows of a batch", batch as u64),
            ("steps", steps),
            ("functions", functions as u64),
        ] {
            if size == 0 {
                return Err(Error::Mismatch(format!("a probe task with 0 {what}: it needs at least 1")));
            }
        }
        Ok(())
    }
}
