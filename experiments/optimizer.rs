//! The optimiser of a config, whichever kind it is of.

use crate::config::{OptimizerKind, Rule};
use engine::optim::{Adam, Optimizer, RmsProp, Sgd, WeightDecay};
use kernels::{Clock, Kernel};
use std::sync::Arc;

/// An optimiser of any kind that the engine has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnyOptimizer {
    /// Adam, with decoupled or coupled decay.
    Adam(Adam),
    /// Gradient descent with momentum.
    Sgd(Sgd),
    /// RMSProp.
    RmsProp(RmsProp),
}

impl AnyOptimizer {
    /// The optimiser of a kind by the keys of a config; `clip` is the largest norm of the gradient, 0 for any. Of `adamw`
    /// the decay is decoupled, `p *= 1 - lr * weight_decay`; of the others it is part of the gradient.
    pub fn new(kind: OptimizerKind, rule: &Rule, weight_decay: f64, clip: f64) -> Self {
        let clip = (clip > 0.0).then_some(clip);
        let adam = |weight_decay| {
            let Adam { beta1, beta2, eps, eps_root, .. } = Adam::default();
            Self::Adam(Adam {
                beta1: rule.beta1.unwrap_or(beta1),
                beta2: rule.beta2.unwrap_or(beta2),
                eps: rule.eps.unwrap_or(eps),
                eps_root: rule.eps_root.unwrap_or(eps_root),
                weight_decay,
                clip,
            })
        };
        match kind {
            OptimizerKind::AdamW => adam(WeightDecay::Decoupled(weight_decay)),
            OptimizerKind::Adam => adam(WeightDecay::Coupled(weight_decay)),
            OptimizerKind::Sgd => {
                let momentum = rule.momentum.unwrap_or(Sgd::default().momentum);
                Self::Sgd(Sgd { momentum, weight_decay, clip })
            }
            OptimizerKind::RmsProp => {
                let RmsProp { alpha, eps, centered, .. } = RmsProp::default();
                Self::RmsProp(RmsProp {
                    alpha: rule.alpha.unwrap_or(alpha),
                    eps: rule.eps.unwrap_or(eps),
                    centered: rule.centered.unwrap_or(centered),
                    weight_decay,
                    clip,
                })
            }
        }
    }

    /// The same with decay that is part of the gradient: `gradient += strength * p`.
    #[must_use]
    pub fn with_coupled_decay(self, strength: f64) -> Self {
        match self {
            Self::Adam(adam) => Self::Adam(Adam { weight_decay: WeightDecay::Coupled(strength), ..adam }),
            Self::Sgd(sgd) => Self::Sgd(Sgd { weight_decay: strength, ..sgd }),
            Self::RmsProp(rmsprop) => Self::RmsProp(RmsProp { weight_decay: strength, ..rmsprop }),
        }
    }

    fn inner(&self) -> &dyn Optimizer {
        match self {
            Self::Adam(adam) => adam,
            Self::Sgd(sgd) => sgd,
            Self::RmsProp(rmsprop) => rmsprop,
        }
    }
}

impl From<Adam> for AnyOptimizer {
    fn from(adam: Adam) -> Self {
        Self::Adam(adam)
    }
}

impl Optimizer for AnyOptimizer {
    fn states(&self) -> &'static [&'static str] {
        self.inner().states()
    }
    fn update(&self, len: usize) -> Arc<dyn Kernel> {
        self.inner().update(len)
    }
    fn clip(&self) -> Option<f64> {
        self.inner().clip()
    }
    fn set_clock(&self, clock: &mut Clock, t: u64, learning_rate: f64) {
        self.inner().set_clock(clock, t, learning_rate);
    }
}
