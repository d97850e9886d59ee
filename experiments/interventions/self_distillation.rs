//! Self-distillation: the tortoise teaches the network that it averages (Hinton and others 2015 for the loss).
//!
//! `loss += strength * mean over batch and classes of KL(teacher || student)`, temperature 1. The teacher sees the same
//! batch, augmented alike, in evaluation mode: its own batch-norm statistics, no dropout. It follows after every step, as
//! for EMA; the student predicts.
//!
//! The mean over classes too is that of the released code (PyTorch's default): per example the divergence weighs
//! `strength / classes`. Hare & Tortoise tuned the strength over 1, 5 and 10.

use super::Tortoise;
use crate::training_step::Teacher;

/// The tortoise as the teacher of a network with so many classes.
pub(super) fn teacher(tortoise: &Tortoise, classes: usize, strength: f64) -> Teacher {
    Teacher { network: tortoise.network().clone(), weight: strength / classes as f64 }
}
