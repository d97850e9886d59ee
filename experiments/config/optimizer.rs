//! `[optimizer]`: AdamW and its schedule.

use super::{Error, Fidelity, check};
use serde::{Deserialize, Serialize};

/// AdamW and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Examples per step; the last batch of an epoch may be smaller and is kept.
    pub batch: usize,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Share of a phase's steps over which the learning rate rises from 0.
    pub warmup: f64,
    /// Decoupled decay of every parameter.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Largest global gradient norm; 0 means no clipping.
    pub clip: f64,
}

impl Optimizer {
    /// Weight decay as in the released configs, or as in appendix A.2 of the paper.
    pub(super) fn defaults(fidelity: Fidelity, model: &str) -> Self {
        let paper = fidelity == Fidelity::Paper;
        let (lr, weight_decay) = match model {
            "resnet18" => (1e-3, if paper { 1e-5 } else { 1e-3 }),
            "vgg16" => (1e-3, if paper { 1e-4 } else { 1e-3 }),
            "vit-tiny" => (3e-3, 0.05),
            _ => (1e-3, 1e-4),
        };
        Self { batch: 256, lr, warmup: 0.1, weight_decay, beta1: 0.9, beta2: 0.999, eps: 1e-8, clip: 0.5 }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check::at_least_one("optimizer.batch", self.batch)?;
        check::positive("optimizer.lr", self.lr)?;
        check::share("optimizer.warmup", self.warmup)?;
        check::not_negative("optimizer.weight_decay", self.weight_decay)?;
        check::share_below_one("optimizer.beta1", self.beta1)?;
        check::share_below_one("optimizer.beta2", self.beta2)?;
        check::positive("optimizer.eps", self.eps)?;
        check::not_negative("optimizer.clip", self.clip)
    }
}
