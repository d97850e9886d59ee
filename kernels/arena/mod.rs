//! Kernels over flat parameter arenas: parameters, gradients, Adam moments, initial weights and the tortoise share
//! one layout, so an optimiser step and every intervention on weights is one launch over one range.
//!
//! | kernel | formula | source |
//! |---|---|---|
//! | [`AdamW`] | decoupled weight decay, then Adam | Loshchilov and Hutter 2019; order of `torch.optim.AdamW` |
//! | [`GradientNorm`] | `factor = min(1, max_norm / (norm + 1e-6))` | `torch.nn.utils.clip_grad_norm_` |
//! | [`Blend`] | `target = keep target + (1 - keep) source` | EMA, shrink & perturb, pulls between networks |
//! | [`struct@Copy`] | `target = source` | hare reset |
//! | [`Fill`] | `target = value` | cleared moments |
//!
//! On the GPU a thread handles four floats at a time and strides over the range by the whole grid. The words that
//! pad a range to a multiple of four are never changed and never enter a sum, so zeros between the segments of an
//! arena stay zeros. On the CPU a range is cut into chunks of [`CHUNK`] floats whatever the number of threads.

mod adamw;
mod blend;
mod cases;
mod cpu;
mod norm;

pub use adamw::AdamW;
pub use blend::{Blend, Copy, Fill};
pub use cases::cases;
pub use norm::{GradientNorm, NORM_WORD};

use crate::kernel::{Access, Dispatch};

/// Floats in one CPU task, and in one partial sum of a CPU reduction.
pub const CHUNK: usize = 16_384;

/// Threads of every workgroup here.
const THREADS: usize = 256;

/// The most workgroups in one dimension of a grid.
const MAX_GRID: usize = 65_535;

/// The launch of a shader in which each thread handles four floats, then strides by the whole grid. The first
/// immediate is always the length.
fn over_vectors(
    label: &'static str,
    source: &'static str,
    len: usize,
    access: &[Access],
    parameters: &[f32],
    clock: bool,
) -> Vec<Dispatch> {
    if len == 0 {
        return Vec::new();
    }
    vec![Dispatch {
        label: label.into(),
        source: source.into(),
        constants: Vec::new(),
        bindings: access.iter().copied().enumerate().collect(),
        immediates: std::iter::once(len as u32).chain(parameters.iter().map(|p| p.to_bits())).collect(),
        clock,
        grid: [len.div_ceil(4 * THREADS).min(MAX_GRID) as u32, 1, 1],
        windows: Vec::new(),
    }]
}
