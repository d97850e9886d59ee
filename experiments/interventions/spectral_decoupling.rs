//! Spectral decoupling: a penalty on the logits, so that a feature that already predicts well does not starve the others of
//! gradient (Pezeshki and others, *Gradient Starvation*, 2021).
//!
//! `mean`, as in the released code of Hare & Tortoise: `strength * mean over batch and classes of logit²`. `half-sum`, as its
//! authors define it: `strength / 2 * mean over the batch of the sum over classes of logit²`, stronger by half the number of
//! classes. Hare & Tortoise swept 1, 0.1, ..., 1e-5.

use crate::config::{Config, SpectralForm};

/// The coefficient of each squared logit in the loss of an example; 0 where the method takes no part.
pub(super) fn logit_penalty(config: &Config, classes: usize) -> f64 {
    if !config.has("spectral-decoupling") {
        return 0.0;
    }
    let strength = config.intervention.spectral_strength;
    match config.intervention.spectral_form {
        SpectralForm::Mean => strength / classes as f64,
        SpectralForm::HalfSum => strength / 2.0,
    }
}
