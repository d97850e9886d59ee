//! `[intervention]`: what keeps the network plastic.

use super::Fidelity;
use serde::{Deserialize, Serialize};

/// Which methods take part, and the keys of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intervention {
    /// `none`, one of [`METHODS`], or several joined by `+`.
    pub method: String,
    /// Share that the tortoise keeps of itself in a step (`hare-tortoise`, `ema`, `self-distillation`).
    pub momentum: f64,
    /// A reset comes every so many epochs or steps: of the hare to the tortoise (`hare-tortoise`), of Adam's moments
    /// and step count (`optimizer-reset`).
    pub reset_interval: usize,
    /// Unit of `reset_interval`.
    pub reset_unit: ResetUnit,
    /// When a phase's first reset comes.
    pub first_reset: FirstReset,
    /// In the step after a reset the tortoise takes the hare's whole step, as in the released code, whose copy shares
    /// memory.
    pub reset_shares_memory: bool,
    /// Which Shrink & Perturb is meant (`shrink-perturb`).
    pub shrink_perturb: ShrinkPerturbVariant,
    /// Share of the trained weights that remains at the end of a phase, or of a step (`shrink-perturb`).
    pub keep: f64,
    /// Factor of the fresh weights that are added (`shrink-perturb`, where it draws them).
    pub perturb: f64,
    /// Weight decay in place of `optimizer.weight_decay` (`l2`).
    pub weight_decay: f64,
    /// Factor of the penalty on logits (`spectral-decoupling`).
    pub spectral_strength: f64,
    /// How that penalty is summed.
    pub spectral_form: SpectralForm,
    /// Factor of the divergence from the tortoise (`self-distillation`).
    pub distillation_strength: f64,
    /// Factor of the distance from the first weights (`regen`).
    pub regen_strength: f64,
    /// Which distance that is.
    pub regen_form: RegenForm,
    /// Largest score of a unit that counts as dormant (`redo`).
    pub redo_threshold: f64,
    /// Dormant units are recycled every so many epochs of a phase (`redo`).
    pub redo_interval: usize,
    /// Training examples on which units are scored (`redo`).
    pub redo_examples: usize,
    /// Whether dormant units are recycled, or only counted: in the released code `redo` has no effect.
    pub redo_recycles: bool,
}

/// Which Shrink & Perturb is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShrinkPerturbVariant {
    /// Between phases, toward the run's first weights.
    #[serde(rename = "hare-tortoise-2024")]
    HareTortoise2024,
    /// Between phases, adding a fresh draw; running statistics begin anew.
    #[serde(rename = "ash-adams-2020")]
    AshAdams2020,
    /// After every step, adding a fresh draw.
    #[serde(rename = "per-step")]
    PerStep,
}

/// How the penalty of spectral decoupling is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpectralForm {
    /// The mean over batch and classes (released code).
    Mean,
    /// Half of the sum over classes, the mean over the batch (its authors).
    HalfSum,
}

/// Which distance from the first weights regenerative regularisation penalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegenForm {
    /// Half of the square of that of all parameters (its authors).
    Squared,
    /// That of the backbone's last tensor and that of the head's, not squared (released code).
    LastTensors,
}

/// Unit of the reset interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetUnit {
    /// Epochs of the phase.
    Epochs,
    /// Steps of the phase.
    Steps,
}

/// When a phase's first reset comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstReset {
    /// After the first epoch (or step), then after each interval: 1, 11, 21, ... (released code).
    AfterOne,
    /// After the first interval: 10, 20, ... (paper).
    AfterInterval,
}

/// The methods that `intervention.method` may join.
pub const METHODS: [&str; 10] = [
    "hare-tortoise",
    "ema",
    "shrink-perturb",
    "head-reset",
    "optimizer-reset",
    "l2",
    "spectral-decoupling",
    "self-distillation",
    "regen",
    "redo",
];

impl Intervention {
    /// No method; the keys of each as published.
    pub(super) fn defaults(fidelity: Fidelity) -> Self {
        Self {
            method: "none".into(),
            momentum: 0.999,
            reset_interval: 10,
            reset_unit: ResetUnit::Epochs,
            first_reset: if fidelity == Fidelity::Paper {
                FirstReset::AfterInterval
            } else {
                FirstReset::AfterOne
            },
            reset_shares_memory: fidelity == Fidelity::Code,
            shrink_perturb: ShrinkPerturbVariant::HareTortoise2024,
            keep: 0.2,
            perturb: 0.0,
            weight_decay: 0.1,
            spectral_strength: 0.01,
            spectral_form: SpectralForm::Mean,
            distillation_strength: 1.0,
            regen_strength: 0.01,
            regen_form: if fidelity == Fidelity::Code { RegenForm::LastTensors } else { RegenForm::Squared },
            redo_threshold: 0.1,
            redo_interval: 5,
            redo_examples: 256,
            redo_recycles: fidelity != Fidelity::Code,
        }
    }

    /// The strengths of the Shrink & Perturb that a config names, as its authors publish them; per step, of what they tried.
    pub(super) fn shrink_perturb_defaults(&mut self, variant: Option<&str>) {
        match variant {
            Some("ash-adams-2020") => (self.keep, self.perturb) = (0.4, 0.1),
            Some("per-step") => (self.keep, self.perturb) = (1.0 - 1e-4, 1e-4),
            _ => {}
        }
    }
}
