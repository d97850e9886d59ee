//! Kernels over flat parameter arenas: parameters, gradients, Adam moments, initial weights and the tortoise share
//! one layout, so an optimiser step and every intervention on weights is one launch over one range.
//!
//! | kernel | formula | source |
//! |---|---|---|
//! | [`Adam`] | Adam, weight decay decoupled or coupled | Kingma and Ba 2015, Loshchilov and Hutter 2019; `torch.optim` |
//! | [`Sgd`] | gradient descent with momentum | `torch.optim.SGD` |
//! | [`RmsProp`] | gradient over its root mean square | `torch.optim.RMSprop` |
//! | [`GradientNorm`] | `factor = min(1, max_norm / (norm + 1e-6))` | `torch.nn.utils.clip_grad_norm_` |
//! | [`Blend`] | `target = keep target + (1 - keep) source` | EMA, shrink & perturb, pulls between networks |
//! | [`struct@Copy`] | `target = source` | hare reset |
//! | [`Fill`] | `target = value` | cleared moments |
//! | [`Regen`] | `gradient += strength (w - w0)` | regenerative regularisation |
//! | [`Perturb`] | `target = keep target + scale fresh` | shrink & perturb with a fresh draw |
//!
//! On the GPU a thread handles four floats at a time and strides over the range by the whole grid. The words that
//! pad a range to a multiple of four are never changed and never enter a sum, so zeros between the segments of an
//! arena stay zeros. On the CPU a range is cut into chunks of [`CHUNK`] floats whatever the number of threads.

mod adam;
mod blend;
mod cases;
mod norm;
mod optimizer_cases;
mod perturb;
mod regen;
mod rmsprop;
mod sgd;
mod step;

pub use adam::{Adam, WeightDecay};
pub use blend::{Blend, Copy, Fill};
pub use norm::{GradientNorm, NORM_WORD};
pub use perturb::{BLOCK, Fresh, Perturb};
pub use regen::{Distance, Regen};
pub use rmsprop::RmsProp;
pub use sgd::Sgd;
pub use step::{FADED, FADED_SQUARE};

use crate::case::Case;
use crate::kernel::{Access, Binding, Dispatch, GpuTraits, Kernel};
use crate::windows::in_windows;
use std::borrow::Cow;

/// Floats in one CPU task, and in one partial sum of a CPU reduction.
pub const CHUNK: usize = 16_384;

/// Threads of every workgroup here.
const THREADS: usize = 256;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = cases::cases();
    cases.extend(optimizer_cases::cases());
    cases
}

/// The launches of a shader in which each thread handles four floats, then strides by the whole grid, one for each window
/// of the range. The buffers are those of the kernel; the first is as long as the range, whose length is the first
/// immediate.
fn over_vectors(
    kernel: &dyn Kernel,
    source: Cow<'static, str>,
    parameters: &[f32],
    clock: bool,
    gpu: &GpuTraits,
) -> Vec<Dispatch> {
    let bindings = kernel.bindings();
    let len = bindings[0].words;
    if len == 0 {
        return Vec::new();
    }
    let shader_access = |binding: &Binding| match binding.access {
        Access::Read => Access::Read,
        _ => Access::ReadWrite,
    };
    let accesses: Vec<_> = bindings.iter().map(shader_access).enumerate().collect();
    let ranges: Vec<_> = (0..bindings.len()).filter(|&i| bindings[i].words == len).map(|i| (i, 1)).collect();
    in_windows(len, &ranges, gpu, |window| {
        let len = window.len() as u32;
        vec![Dispatch {
            label: kernel.name().into(),
            source: source.clone(),
            constants: Vec::new(),
            bindings: accesses.clone(),
            immediates: std::iter::once(len).chain(parameters.iter().map(|p| p.to_bits())).collect(),
            clock,
            grid: crate::elementwise::grid(window.len()),
            windows: Vec::new(),
        }]
    })
}
