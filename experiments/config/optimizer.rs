//! `[optimizer]`: how parameters follow their gradients, and the schedule.

use super::{Error, Fidelity, OptimizerKind, Rule, check};
use serde::{Deserialize, Serialize};

/// The optimiser and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Optimizer {
    /// Examples per step; the last batch of an epoch may be smaller and is kept.
    pub batch: usize,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Share of a phase's steps over which the learning rate rises from 0.
    pub warmup: f64,
    /// Decay of every parameter: with `adamw` decoupled, else part of the gradient.
    pub weight_decay: f64,
    /// The kind, where it is not `adamw`, and its keys.
    #[serde(flatten)]
    pub rule: Rule,
    /// Largest global gradient norm; 0 means no clipping.
    pub clip: f64,
}

impl Optimizer {
    /// Weight decay as in the released configs, or as in appendix A.2 of the paper.
    pub(super) fn defaults(fidelity: Fidelity, model: &str, kind: OptimizerKind) -> Self {
        let paper = fidelity == Fidelity::Paper;
        let (lr, weight_decay) = match model {
            "resnet18" => (1e-3, if paper { 1e-5 } else { 1e-3 }),
            "vgg16" => (1e-3, if paper { 1e-4 } else { 1e-3 }),
            "vit-tiny" => (3e-3, 0.05),
            _ => (1e-3, 1e-4),
        };
        Self { batch: 256, lr, warmup: 0.1, weight_decay, rule: Rule::defaults(kind), clip: 0.5 }.brief()
    }

    /// How parameters follow their gradients.
    pub fn kind(&self) -> OptimizerKind {
        self.rule.kind.unwrap_or(OptimizerKind::AdamW)
    }

    /// Without the keys that came after runs had been named by their configs, where they are at their default.
    pub(super) fn brief(mut self) -> Self {
        self.rule.kind = self.rule.kind.filter(|kind| *kind != OptimizerKind::AdamW);
        self.rule.eps_root = self.rule.eps_root.filter(|eps| *eps != 0.0);
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check::at_least_one("optimizer.batch", self.batch)?;
        check::positive("optimizer.lr", self.lr)?;
        check::share("optimizer.warmup", self.warmup)?;
        check::not_negative("optimizer.weight_decay", self.weight_decay)?;
        self.rule.check()?;
        check::not_negative("optimizer.clip", self.clip)
    }
}
