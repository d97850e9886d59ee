//! `[protocol]`: what a phase trains on, for how long, and when it is evaluated.

use super::check::{at_least_one, refused};
use super::{Error, Fidelity};
use serde::{Deserialize, Serialize};

/// The most products with the Hessian at an evaluation.
const MOST_HESSIAN_STEPS: usize = 1000;

/// Labels of all phases are drawn before training starts.
const MOST_LABEL_SETS: usize = 10_000;

/// Phases of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Share of the training set that each phase adds. The last of several may add nothing, 0, if `last_phase` is `base`.
    pub ratios: Vec<f64>,
    /// Share of wrong labels in each phase's training set.
    pub noise: Vec<f64>,
    /// Examples of earlier phases that a phase still trains on, beside its own; 0 keeps all.
    pub buffer: usize,
    /// Which earlier examples a limited buffer keeps.
    pub buffer_order: BufferOrder,
    /// Which label a noisy example gets.
    pub noise_labels: NoiseLabels,
    /// A phase of ratio r has `int(base_epochs / r)` epochs; one that adds nothing has `base_epochs`.
    pub base_epochs: usize,
    /// The last phase of several: by its ratio too (111 epochs for 0.9), or `base_epochs`.
    pub last_phase: LastPhase,
    /// Evaluation every `int(evaluate_every / r)` epochs (`evaluate_every` where r is 0), before each phase, and at the
    /// end.
    pub evaluate_every: usize,
    /// Which evaluation is the run's result.
    pub final_accuracy: FinalAccuracy,
    /// Log indicators of plasticity at every evaluation (`docs/metrics.md`).
    pub indicators: bool,
    /// Products with the Hessian of the loss at every evaluation, for the indicators that are made of them; 0, which no
    /// config writes down, for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hessian_steps: usize,
    /// Phases that all train on the whole training set, each with labels of its own: any class for every image, drawn by
    /// seed and phase. The optimiser goes on from one to the next. 0, which no config writes down, for the phases that the
    /// other keys describe.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_sets: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // What serde asks for.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Which of the earlier examples a limited buffer keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BufferOrder {
    /// A uniform sample.
    Uniform,
    /// The first ones by class (released code, whose sets are sorted by class and whose indices ascend).
    Ascending,
}

/// Which label a noisy example gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseLabels {
    /// One of the other classes, never the true one (released code).
    OtherClasses,
    /// Any class (paper): some stay right.
    AllClasses,
}

/// Length of the last of several phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastPhase {
    /// `int(base_epochs / ratio)` (released code).
    ByRatio,
    /// `base_epochs` (paper).
    Base,
}

/// Which evaluation is the run's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinalAccuracy {
    /// After the last epoch.
    LastEpoch,
    /// The last that the schedule asks for, one epoch earlier in a warm start (released code).
    LastScheduled,
}

impl Protocol {
    /// Fresh training on everything, clean.
    pub(super) fn defaults(fidelity: Fidelity) -> Self {
        let code = fidelity == Fidelity::Code;
        let paper = fidelity == Fidelity::Paper;
        Self {
            ratios: vec![1.0],
            noise: vec![0.0],
            buffer: 0,
            buffer_order: if code { BufferOrder::Ascending } else { BufferOrder::Uniform },
            noise_labels: if paper { NoiseLabels::AllClasses } else { NoiseLabels::OtherClasses },
            base_epochs: 100,
            last_phase: if paper { LastPhase::Base } else { LastPhase::ByRatio },
            evaluate_every: 5,
            final_accuracy: if code { FinalAccuracy::LastScheduled } else { FinalAccuracy::LastEpoch },
            indicators: false,
            hessian_steps: 0,
            label_sets: 0,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse =
            |key: &str, values: &[f64], reason: &str| Err(refused(key, format!("{values:?}"), reason));
        at_least_one("protocol.base_epochs", self.base_epochs)?;
        at_least_one("protocol.evaluate_every", self.evaluate_every)?;
        if self.hessian_steps > MOST_HESSIAN_STEPS {
            let reason = "it must be at most 1000: each step keeps a vector of all parameters";
            return Err(refused("protocol.hessian_steps", self.hessian_steps, reason));
        }
        if self.label_sets > MOST_LABEL_SETS {
            return Err(refused("protocol.label_sets", self.label_sets, "it must be at most 10000"));
        }
        let one_clean_phase = self.ratios == [1.0] && self.noise == [0.0] && self.buffer == 0;
        if self.label_sets > 0 && !one_clean_phase {
            let reason = "every label set is for all images: protocol.ratios must be [1.0], protocol.noise [0.0] and \
                          protocol.buffer 0";
            return Err(refused("protocol.label_sets", self.label_sets, reason));
        }
        let phases = self.ratios.len();
        let share = |(phase, ratio): (usize, &f64)| {
            let adds_nothing = *ratio == 0.0 && self.last_phase == LastPhase::Base;
            (1e-6..=1.0).contains(ratio) || (adds_nothing && phase > 0 && phase + 1 == phases)
        };
        if phases == 0 || !self.ratios.iter().enumerate().all(share) {
            return refuse(
                "protocol.ratios",
                &self.ratios,
                "one share in (0, 1] per phase is needed; the last of several may be 0 with protocol.last_phase = \
                 \"base\"",
            );
        }
        if self.ratios.iter().sum::<f64>() > 1.0 + 1e-9 {
            return refuse("protocol.ratios", &self.ratios, "the shares must not sum to more than 1");
        }
        if self.noise.len() != phases || self.noise.iter().any(|n| !(0.0..=1.0).contains(n)) {
            return refuse("protocol.noise", &self.noise, "one share in [0, 1] per phase is needed");
        }
        Ok(())
    }
}
