//! AdamW with global-norm clipping, as launches over the whole arena.

use crate::device::{Buffer, Launch};
use kernels::Clock;
use kernels::arena::{Adam, GradientNorm, WeightDecay};
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

/// The arenas of an optimiser step.
#[derive(Clone, Debug)]
pub struct AdamWMemory<'a> {
    /// Trained values.
    pub parameters: &'a Buffer,
    /// Their gradients.
    pub gradients: &'a Buffer,
    /// First moments.
    pub exp_avg: &'a Buffer,
    /// Second moments.
    pub exp_avg_sq: &'a Buffer,
    /// Norm and clip factor of this step, 2 words.
    pub clip: &'a Buffer,
    /// A ring of rows of numbers, a row per step: word 3 of the row gets the norm.
    pub ring: &'a Buffer,
    /// Rows of the ring.
    pub ring_rows: usize,
    /// Words of a row, at least 4.
    pub row_words: usize,
}

impl AdamW {
    /// The launches of one step over arenas of `len` words: gradient norm, then the update.
    pub fn launches(&self, len: usize, memory: &AdamWMemory<'_>) -> Vec<Launch> {
        let norm =
            GradientNorm { len, max_norm: self.clip, ring_rows: memory.ring_rows, words: memory.row_words };
        let update = Adam {
            len,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            eps_root: 0.0,
            weight_decay: WeightDecay::Decoupled(self.weight_decay),
        };
        let ring = memory.ring.slice(0, memory.ring_rows * memory.row_words);
        let arena = |buffer: &Buffer| buffer.slice(0, len);
        vec![
            Launch::new(
                "gradient norm",
                Arc::new(norm),
                vec![arena(memory.gradients), memory.clip.slice(0, 2), ring],
            ),
            Launch::new(
                "adamw",
                Arc::new(update),
                vec![
                    arena(memory.parameters),
                    arena(memory.gradients),
                    arena(memory.exp_avg),
                    arena(memory.exp_avg_sq),
                    memory.clip.slice(0, 2),
                ],
            ),
        ]
    }

    /// Writes learning rate and bias corrections of step `t`, counted from 1 since the moments were zero, into a clock.
    pub fn set_clock(&self, clock: &mut Clock, t: u64, learning_rate: f64) {
        clock.learning_rate = learning_rate as f32;
        clock.bias_correction1 = (1.0 - self.beta1.powf(t as f64)) as f32;
        clock.bias_correction2_sqrt = (1.0 - self.beta2.powf(t as f64)).sqrt() as f32;
    }
}
