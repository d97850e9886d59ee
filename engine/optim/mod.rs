//! Optimisers with global-norm clipping, as launches over whole arenas: the gradient's norm, then the update.

mod adam;
mod rmsprop;
mod sgd;

pub use adam::Adam;
pub use kernels::arena::WeightDecay;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

use crate::device::{Buffer, Launch};
use kernels::arena::GradientNorm;
use kernels::{Clock, Kernel};
use std::sync::Arc;

/// How parameters follow their gradients.
pub trait Optimizer {
    /// The names of the arenas of state, as checkpoints hold them, in the order of [`OptimizerMemory::states`]. All begin as
    /// zeros.
    fn states(&self) -> &'static [&'static str];

    /// The kernel that updates `len` words. Buffers: parameters, gradients, the states, norm and clip factor.
    fn update(&self, len: usize) -> Arc<dyn Kernel>;

    /// Largest global L2 norm of the gradient; `None` leaves it as it is.
    fn clip(&self) -> Option<f64>;

    /// Writes what depends on step `t`, counted from 1 since the states were zero, into a clock.
    fn set_clock(&self, clock: &mut Clock, t: u64, learning_rate: f64);

    /// The launches of one step over arenas of `len` words: gradient norm, then the update. Compiling them fails if
    /// there are not as many states as [`Optimizer::states`] names.
    fn launches(&self, len: usize, memory: &OptimizerMemory<'_>) -> Vec<Launch> {
        let ring = memory.ring.slice(0, memory.ring_rows * memory.row_words);
        let (ring_rows, words) = (memory.ring_rows, memory.row_words);
        let norm = GradientNorm { len, max_norm: self.clip(), ring_rows, words };
        let clip = memory.clip.slice(0, 2);
        let update = self.update(len);
        let label = update.name().trim_start_matches("arena/").to_string();
        let arenas = [memory.parameters, memory.gradients].into_iter().chain(memory.states.iter().copied());
        let mut updated: Vec<_> = arenas.map(|buffer| buffer.slice(0, len)).collect();
        updated.push(clip.clone());
        vec![
            Launch::new("gradient norm", Arc::new(norm), vec![memory.gradients.slice(0, len), clip, ring]),
            Launch::new(label, update, updated),
        ]
    }
}

/// The arenas of an optimiser step.
#[derive(Clone, Debug)]
pub struct OptimizerMemory<'a> {
    /// Trained values.
    pub parameters: &'a Buffer,
    /// Their gradients.
    pub gradients: &'a Buffer,
    /// What the optimiser keeps, in the order of [`Optimizer::states`].
    pub states: &'a [&'a Buffer],
    /// Norm and clip factor of this step, 2 words.
    pub clip: &'a Buffer,
    /// A ring of rows of numbers, a row per step: word 3 of the row gets the norm.
    pub ring: &'a Buffer,
    /// Rows of the ring.
    pub ring_rows: usize,
    /// Words of a row, at least 4.
    pub row_words: usize,
}
