//! Stochastic gradient descent with momentum.

use super::Optimizer;
use kernels::arena::Sgd as SgdKernel;
use kernels::{Clock, Kernel};
use std::sync::Arc;

/// Hyper-parameters of gradient descent with momentum; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sgd {
    /// Share of the last step that remains.
    pub momentum: f64,
    /// Coupled decay: `gradient += weight_decay * p`, on every parameter.
    pub weight_decay: f64,
    /// Largest global L2 norm of the gradient; `None` leaves it as it is.
    pub clip: Option<f64>,
}

impl Optimizer for Sgd {
    fn states(&self) -> &'static [&'static str] {
        &["momentum_buffer"]
    }
    fn update(&self, len: usize) -> Arc<dyn Kernel> {
        let Self { momentum, weight_decay, .. } = *self;
        Arc::new(SgdKernel { len, momentum, weight_decay })
    }
    fn clip(&self) -> Option<f64> {
        self.clip
    }
    fn set_clock(&self, clock: &mut Clock, _t: u64, learning_rate: f64) {
        clock.learning_rate = learning_rate as f32;
    }
}
