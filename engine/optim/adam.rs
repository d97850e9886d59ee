//! Adam and AdamW.

use super::Optimizer;
use kernels::arena::{Adam as AdamKernel, WeightDecay};
use kernels::{Clock, Kernel};
use std::sync::Arc;

/// Hyper-parameters of AdamW; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled decay: `p *= 1 - lr * weight_decay`, on every parameter.
    pub weight_decay: f64,
    /// Largest global L2 norm of the gradient; `None` leaves it as it is.
    pub clip: Option<f64>,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-2, clip: None }
    }
}

impl Optimizer for AdamW {
    fn states(&self) -> &'static [&'static str] {
        &STATES
    }
    fn update(&self, len: usize) -> Arc<dyn Kernel> {
        let Self { beta1, beta2, eps, weight_decay, .. } = *self;
        let weight_decay = WeightDecay::Decoupled(weight_decay);
        Arc::new(AdamKernel { len, beta1, beta2, eps, eps_root: 0.0, weight_decay })
    }
    fn clip(&self) -> Option<f64> {
        self.clip
    }
    fn set_clock(&self, clock: &mut Clock, t: u64, learning_rate: f64) {
        clock.learning_rate = learning_rate as f32;
        set_corrections(clock, t, self.beta1, self.beta2);
    }
}

/// Hyper-parameters of Adam with coupled weight decay; the defaults are PyTorch's.
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
    /// Coupled decay: `gradient += weight_decay * p`, on every parameter.
    pub weight_decay: f64,
    /// Largest global L2 norm of the gradient; `None` leaves it as it is.
    pub clip: Option<f64>,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, eps_root: 0.0, weight_decay: 0.0, clip: None }
    }
}

impl Optimizer for Adam {
    fn states(&self) -> &'static [&'static str] {
        &STATES
    }
    fn update(&self, len: usize) -> Arc<dyn Kernel> {
        let Self { beta1, beta2, eps, eps_root, weight_decay, .. } = *self;
        let weight_decay = WeightDecay::Coupled(weight_decay);
        Arc::new(AdamKernel { len, beta1, beta2, eps, eps_root, weight_decay })
    }
    fn clip(&self) -> Option<f64> {
        self.clip
    }
    fn set_clock(&self, clock: &mut Clock, t: u64, learning_rate: f64) {
        clock.learning_rate = learning_rate as f32;
        set_corrections(clock, t, self.beta1, self.beta2);
    }
}

/// First and second moments.
const STATES: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// The bias corrections of step `t`.
fn set_corrections(clock: &mut Clock, t: u64, beta1: f64, beta2: f64) {
    clock.bias_correction1 = (1.0 - beta1.powf(t as f64)) as f32;
    clock.bias_correction2_sqrt = (1.0 - beta2.powf(t as f64)).sqrt() as f32;
}
