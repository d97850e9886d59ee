//! Adam, and AdamW, which is Adam with decoupled weight decay.

use super::Optimizer;
use kernels::arena::{Adam as AdamKernel, WeightDecay};
use kernels::{Clock, Kernel};
use std::sync::Arc;

/// Hyper-parameters of Adam; the defaults are those of PyTorch's Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Added under the root of the denominator, as in optax.
    pub eps_root: f64,
    /// Weight decay, on every parameter, and where it acts.
    pub weight_decay: WeightDecay,
    /// Largest global L2 norm of the gradient; `None` leaves it as it is.
    pub clip: Option<f64>,
}

impl Default for Adam {
    fn default() -> Self {
        let weight_decay = WeightDecay::Coupled(0.0);
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, eps_root: 0.0, weight_decay, clip: None }
    }
}

impl Adam {
    /// AdamW: decoupled decay, `p *= 1 - lr * weight_decay` (Loshchilov and Hutter 2019). PyTorch's default is 0.01.
    pub fn adamw(weight_decay: f64) -> Self {
        Self { weight_decay: WeightDecay::Decoupled(weight_decay), ..Self::default() }
    }
}

impl Optimizer for Adam {
    fn states(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }
    fn update(&self, len: usize) -> Arc<dyn Kernel> {
        let Self { beta1, beta2, eps, eps_root, weight_decay, .. } = *self;
        Arc::new(AdamKernel { len, beta1, beta2, eps, eps_root, weight_decay })
    }
    fn clip(&self) -> Option<f64> {
        self.clip
    }
    fn set_clock(&self, clock: &mut Clock, t: u64, learning_rate: f64) {
        clock.learning_rate = learning_rate as f32;
        clock.bias_correction1 = (1.0 - self.beta1.powf(t as f64)) as f32;
        clock.bias_correction2_sqrt = (1.0 - self.beta2.powf(t as f64)).sqrt() as f32;
    }
}
