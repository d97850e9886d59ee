//! Batch normalisation (Ioffe and Szegedy, 2015), as PyTorch computes it, with what often follows it fused behind it: the
//! sum with a residual branch (He et al., 2016), ReLU.
//!
//! x and y are `[rows, C]`: all axes but the last are rows, so `[N, C]` and `[N, H, W, C]` are the same kernel. For each
//! channel, while training:
//!
//! ```text
//! mean = Σ x / rows        var = Σ (x - mean)² / rows        inverse = 1 / sqrt(var + eps)
//! xhat = (x - mean) inverse        y = relu(xhat weight + bias + residual)        saved = [mean, inverse]
//! running_mean = (1 - momentum) running_mean + momentum mean
//! running_var  = (1 - momentum) running_var  + momentum var rows / (rows - 1)
//! ```
//!
//! Gradients, where dz is dy, masked by y > 0 if ReLU followed:
//!
//! ```text
//! dbias = Σ dz        dweight = Σ dz xhat        dx = weight inverse (dz - dbias / rows - xhat dweight / rows)
//! dresidual = dz
//! ```
//!
//! What flows on takes the place of dy: dx, or, with a residual, dz, and dx is written apart.
//!
//! Inference uses running_mean and running_var for mean and var. They do not depend on x, so `dx = weight inverse dz`, and
//! every example has gradients of its own.
//!
//! How all of this moves when x and the parameters do is in [`BatchNormTangent`] and [`BatchNormGradientTangent`].
//!
//! A single row has no unbiased variance and PyTorch refuses it; here it counts as variance 0, so nothing becomes NaN.
//!
//! Variances are never `Σx² / n - mean²`, which loses every digit when the mean is large: the CPU makes two passes over
//! a few rows that stay in its cache, the GPU updates mean and squared distances as Welford (1962), and groups are merged
//! as Chan, Golub and LeVeque (1983) do. On a GPU up to 1,024 rows are one launch; beyond, fixed chunks of rows leave
//! partial results in scratch, a second launch merges them in a fixed order, a third normalises. The first and the third
//! run once for each window of a buffer that is too large to bind.

use crate::kernel::SCRATCH;
use crate::reduce::columns::Columns;
use crate::size::words;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};
use std::fmt::Display;

mod backward;
mod cases;
mod cpu;
mod cpu_backward;
mod cpu_cut;
mod cpu_tangent;
mod inference_backward;
mod tangent;
mod tangent_cases;

pub use backward::BatchNormBackward;
pub use cases::cases;
pub use inference_backward::{BatchNormInferenceBackward, BatchNormRunning};
pub use tangent::{BatchNormGradientTangent, BatchNormTangent};

/// Words per channel that [`BatchNormTangent`] leaves for [`BatchNormGradientTangent`].
pub const CHANNEL_WORDS: usize = 6;

/// Batch normalisation while training: normalises with the statistics of the batch and updates the running ones.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormForward {
    /// Rows of x: all axes but the last, multiplied (N, or N * H * W). At least 2 for a meaningful result.
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
    /// Added to the variance; 1e-5 in PyTorch.
    pub eps: f32,
    /// Weight of the batch in the running statistics; 0.1 in PyTorch.
    pub momentum: f32,
    /// Whether ReLU follows.
    pub relu: bool,
    /// Whether another tensor of x's shape is added, before the ReLU.
    pub residual: bool,
}

/// Batch normalisation with the running statistics.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormInference {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Whether ReLU follows.
    pub relu: bool,
    /// Whether another tensor of x's shape is added, before the ReLU.
    pub residual: bool,
}

/// `256x512 +residual +relu`.
fn shape(rows: usize, channels: usize, relu: bool, residual: bool) -> String {
    let option = |wanted, name| if wanted { name } else { "" };
    format!("{rows}x{channels}{}{}", option(residual, " +residual"), option(relu, " +relu"))
}

/// Scratch on a GPU for the partial results of each chunk and channel: `[chunks, results, C]`.
fn partial_words(rows: usize, channels: usize, results: usize) -> usize {
    let cut = Columns::new(rows, channels);
    if cut.whole() { 0 } else { results * cut.chunks * channels }
}

/// The buffers of x's shape, which are bound in windows.
fn images(buffers: &[usize], more: impl IntoIterator<Item = (usize, Access)>) -> Vec<usize> {
    buffers.iter().copied().chain(more.into_iter().map(|(buffer, _)| buffer)).collect()
}

impl BatchNormForward {
    fn cut(&self) -> Columns {
        Columns::new(self.rows, self.channels)
    }
}

impl Kernel for BatchNormForward {
    fn name(&self) -> &'static str {
        "batch_norm/forward"
    }
    fn shape(&self) -> String {
        shape(self.rows, self.channels, self.relu, self.residual)
    }
    fn bindings(&self) -> Vec<Binding> {
        let (all, c) = (words([self.rows, self.channels]), self.channels);
        let mut bindings = vec![
            Binding::read("x", all),
            Binding::read("weight", c),
            Binding::read("bias", c),
            Binding::read_write("running_mean", c),
            Binding::read_write("running_var", c),
        ];
        if self.residual {
            bindings.push(Binding::read("residual", all));
        }
        bindings.extend([Binding::write("y", all), Binding::write("saved", words([2, c]))]);
        bindings
    }
    fn cost(&self) -> Cost {
        let (all, c) = ((self.rows * self.channels) as u64, self.channels as u64);
        let (relu, residual) = (u64::from(self.relu), u64::from(self.residual));
        // Mean: 1. Variance: 3. Normalising: 3. x is read twice.
        Cost { flops: (7 + relu + residual) * all + 12 * c, bytes: 4 * ((3 + residual) * all + 8 * c) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let cut = self.cut();
        let (rows, units) = (self.rows as u32, cut.units());
        let (eps, momentum) = (self.eps.to_bits(), self.momentum.to_bits());
        let width = ("WIDTH", f64::from(cut.width()));
        let [statistics, save, normalise] =
            [include_str!("statistics.wgsl"), include_str!("save.wgsl"), include_str!("normalise.wgsl")];
        let (y, saved) = if self.residual { (6, 7) } else { (5, 6) };
        use Access::{Read, ReadWrite};
        // The residual comes last in the shaders.
        let residual = self.residual.then_some((5, Read));
        let values: [(&str, &dyn Display); 3] =
            [("RESIDUAL", &self.residual), ("RELU", &self.relu), ("INFERENCE", &false)];
        if cut.whole() {
            let bindings = [
                (0, Read),
                (1, Read),
                (2, Read),
                (3, ReadWrite),
                (4, ReadWrite),
                (y, ReadWrite),
                (saved, ReadWrite),
            ];
            return vec![Dispatch {
                label: "batch_norm/forward".into(),
                source: cut
                    .source(&[statistics, save, normalise, include_str!("forward_whole.wgsl")], &values),
                constants: vec![width],
                bindings: bindings.into_iter().chain(residual).collect(),
                immediates: vec![rows, units, eps, momentum],
                clock: false,
                grid: cut.grid(),
                windows: Vec::new(),
            }];
        }
        let chunk_rows = cut.chunk_rows as u32;
        let [x, _, z] = cut.grid();
        let mut launches = cut.in_windows(&[0], gpu, |rows, chunks| Dispatch {
            label: "batch_norm/forward chunks".into(),
            source: cut.source(&[statistics, include_str!("forward_chunks.wgsl")], &[]),
            constants: vec![width],
            bindings: vec![(0, Read), (SCRATCH, ReadWrite)],
            immediates: vec![rows.len() as u32, units, chunk_rows, chunks.start as u32],
            clock: false,
            grid: [x, chunks.len() as u32, z],
            windows: Vec::new(),
        });
        launches.push(Dispatch {
            label: "batch_norm/forward merge".into(),
            source: cut.source(&[statistics, save, include_str!("forward_merge.wgsl")], &[]),
            constants: vec![width],
            bindings: vec![(SCRATCH, Read), (3, ReadWrite), (4, ReadWrite), (saved, ReadWrite)],
            immediates: vec![rows, units, chunk_rows, cut.chunks as u32, eps, momentum],
            clock: false,
            grid: [x, 1, z],
            windows: Vec::new(),
        });
        let apply = [(0, Read), (1, Read), (2, Read), (y, ReadWrite), (saved, Read)];
        launches.extend(cut.in_windows(&images(&[0, y], residual), gpu, |rows, _| Dispatch {
            label: "batch_norm/forward apply".into(),
            source: cut.source(&[normalise, include_str!("apply.wgsl")], &values),
            constants: vec![width],
            bindings: apply.into_iter().chain(residual).collect(),
            immediates: vec![rows.len() as u32, units],
            clock: false,
            grid: cut.pointwise_grid(rows.len()),
            windows: Vec::new(),
        }));
        launches
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        partial_words(self.rows, self.channels, 3)
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        cpu::forward_scratch(self)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::forward(self, cpu, args);
    }
}

impl Kernel for BatchNormInference {
    fn name(&self) -> &'static str {
        "batch_norm/inference"
    }
    fn shape(&self) -> String {
        shape(self.rows, self.channels, self.relu, self.residual)
    }
    fn bindings(&self) -> Vec<Binding> {
        let (all, c) = (words([self.rows, self.channels]), self.channels);
        let mut bindings = vec![
            Binding::read("x", all),
            Binding::read("weight", c),
            Binding::read("bias", c),
            Binding::read("running_mean", c),
            Binding::read("running_var", c),
        ];
        if self.residual {
            bindings.push(Binding::read("residual", all));
        }
        bindings.push(Binding::write("y", all));
        bindings
    }
    fn cost(&self) -> Cost {
        let (all, c) = ((self.rows * self.channels) as u64, self.channels as u64);
        let (relu, residual) = (u64::from(self.relu), u64::from(self.residual));
        Cost { flops: (3 + relu + residual) * all + 4 * c, bytes: 4 * ((2 + residual) * all + 4 * c) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let cut = Columns::new(self.rows, self.channels);
        let y = if self.residual { 6 } else { 5 };
        let residual = self.residual.then_some((5, Access::Read));
        use Access::{Read, ReadWrite};
        let bindings = [(0, Read), (1, Read), (2, Read), (y, ReadWrite), (3, Read), (4, Read)];
        let values: [(&str, &dyn Display); 3] =
            [("RESIDUAL", &self.residual), ("RELU", &self.relu), ("INFERENCE", &true)];
        let source = cut.source(&[include_str!("normalise.wgsl"), include_str!("apply.wgsl")], &values);
        cut.in_windows(&images(&[0, y], residual), gpu, |rows, _| Dispatch {
            label: "batch_norm/inference".into(),
            source: source.clone(),
            constants: vec![("WIDTH", cut.width().into())],
            bindings: bindings.into_iter().chain(residual).collect(),
            immediates: vec![rows.len() as u32, cut.units(), self.eps.to_bits()],
            clock: false,
            grid: cut.pointwise_grid(rows.len()),
            windows: Vec::new(),
        })
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        cpu::inference_scratch(self)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::inference(self, cpu, args);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
