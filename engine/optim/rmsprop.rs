//! RMSProp.

use super::Optimizer;
use kernels::arena::RmsProp as RmsPropKernel;
use kernels::{Clock, Kernel};
use std::sync::Arc;

/// Hyper-parameters of RMSProp; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Decay of the moments.
    pub alpha: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Divide by the deviation and not by the root mean square.
    pub centered: bool,
    /// Coupled decay: `gradient += weight_decay * p`, on every parameter.
    pub weight_decay: f64,
    /// Largest global L2 norm of the gradient; `None` leaves it as it is.
    pub clip: Option<f64>,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { alpha: 0.99, eps: 1e-8, centered: false, weight_decay: 0.0, clip: None }
    }
}

impl Optimizer for RmsProp {
    fn states(&self) -> &'static [&'static str] {
        if self.centered { &["square_avg", "grad_avg"] } else { &["square_avg"] }
    }
    fn update(&self, len: usize) -> Arc<dyn Kernel> {
        let Self { alpha, eps, weight_decay, centered, .. } = *self;
        Arc::new(RmsPropKernel { len, alpha, eps, weight_decay, centered })
    }
    fn clip(&self) -> Option<f64> {
        self.clip
    }
    fn set_clock(&self, clock: &mut Clock, _t: u64, learning_rate: f64) {
        clock.learning_rate = learning_rate as f32;
    }
}
