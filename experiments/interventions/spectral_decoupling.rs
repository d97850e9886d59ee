//! Spectral decoupling: a penalty on the logits, so that a feature that already predicts well does not starve the others of
//! gradient (Pezeshki and others, *Gradient Starvation*, 2021).
//!
//! `mean`, as in the released code of Hare & Tortoise: `strength * mean over batch and classes of logit²`. `half-sum`, as
//! its authors' paper has it: `strength / 2 * mean over the batch of the sum over classes of logit²`, stronger by half
//! the number of classes. Their code has one logit for two classes and no 1/2, which is `mean`. Hare & Tortoise swept 1,
//! 0.1, ..., 1e-5.

use crate::config::{SpectralDecouplingOptions, SpectralForm};

/// The coefficient of each squared logit in the loss of an example.
pub(super) fn logit_penalty(options: &SpectralDecouplingOptions, classes: usize) -> f64 {
    match options.form {
        SpectralForm::Mean => options.strength / classes as f64,
        SpectralForm::HalfSum => options.strength / 2.0,
    }
}
