//! How batch normalisation and its gradients move when x and the parameters move along a direction.
//!
//! A prime is a derivative along the direction, `u = xhat`, and means are taken over the rows of a channel:
//!
//! ```text
//! u' = inverse (x' - mean(x') - u mean(u x'))        inverse' = -inverse² mean(u x')
//! y' = weight u' + weight' u + bias'
//!
//! g = weight dy        g' = weight dy' + weight' dy        r = inverse' / inverse
//! dx' = inverse (g' + r g - mean(g' + r g) - u (mean((g' + r g) u) + mean(g u')) - u' mean(g u))
//! dweight' = Σ (dy' u + dy u')        dbias' = Σ dy'
//! ```
//!
//! ReLU and a residual are for others: dy is what reaches the normalisation itself. The forward pass leaves what the
//! gradients need of each channel in `channel`, `[6, C]`: mean, inverse, weight, weight', mean(x'), mean(u x').

use super::{CHANNEL_WORDS, cpu_tangent, images};
use crate::kernel::SCRATCH;
use crate::reduce::columns::Columns;
use crate::size::words;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Sums over the rows of a channel that the gradients need.
const GRADIENT_SUMS: usize = 5;

/// y' of batch normalisation while training. Buffers: `x`, `x_tangent`, `saved`, `weight`, `weight_tangent`, `bias_tangent`
/// (read), `y_tangent`, `channel` (written).
#[derive(Clone, Copy, Debug)]
pub struct BatchNormTangent {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
}

/// The tangents of its gradients. Buffers: `x`, `x_tangent`, `channel`, `dy`, `dy_tangent` (read), `dx_tangent`,
/// `dweight_tangent`, `dbias_tangent` (written).
#[derive(Clone, Copy, Debug)]
pub struct BatchNormGradientTangent {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
}

/// The launches of both: sums of chunks of rows, their merge, and a pass over all elements.
struct Passes<'a> {
    labels: [&'static str; 3],
    sources: [&'a [&'a str]; 3],
    /// Buffers of each, in the order of the shader.
    bindings: [Vec<(usize, Access)>; 3],
    /// Those of x's shape, of the first and the last.
    images: [&'a [usize]; 2],
}

impl Passes<'_> {
    fn dispatches(self, cut: &Columns, gpu: &GpuTraits) -> Vec<Dispatch> {
        let (rows, units) = (cut.rows as u32, cut.units());
        let [x, _, z] = cut.grid();
        let dispatch = |pass: usize, immediates: Vec<u32>, grid| Dispatch {
            label: self.labels[pass].into(),
            source: cut.source(self.sources[pass], &[("RELU", &false), ("MASKS", &false)]),
            constants: vec![("WIDTH", cut.width().into())],
            bindings: self.bindings[pass].clone(),
            immediates,
            clock: false,
            grid,
            windows: Vec::new(),
        };
        let mut launches = cut.in_windows(self.images[0], gpu, |rows, chunks| {
            let words = vec![rows.len() as u32, units, cut.chunk_rows as u32, chunks.start as u32];
            dispatch(0, words, [x, chunks.len() as u32, z])
        });
        launches.push(dispatch(1, vec![rows, units, cut.chunks as u32], [x, 1, z]));
        launches.extend(cut.in_windows(self.images[1], gpu, |window, _| {
            let words = vec![window.len() as u32, units, rows, cut.chunks as u32];
            dispatch(2, words, cut.pointwise_grid(window.len()))
        }));
        launches
    }
}

impl Kernel for BatchNormTangent {
    fn name(&self) -> &'static str {
        "batch_norm/tangent"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.channels)
    }
    fn bindings(&self) -> Vec<Binding> {
        let (all, c) = (words([self.rows, self.channels]), self.channels);
        vec![
            Binding::read("x", all),
            Binding::read("x_tangent", all),
            Binding::read("saved", words([2, c])),
            Binding::read("weight", c),
            Binding::read("weight_tangent", c),
            Binding::read("bias_tangent", c),
            Binding::write("y_tangent", all),
            Binding::write("channel", words([CHANNEL_WORDS, c])),
        ]
    }
    fn cost(&self) -> Cost {
        let (all, c) = ((self.rows * self.channels) as u64, self.channels as u64);
        // xhat: 2, sums: 3; then xhat again, u': 4, y': 4. x and x' are read twice.
        Cost { flops: 15 * all, bytes: 4 * (5 * all + (5 + CHANNEL_WORDS as u64) * c) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let sums = include_str!("sums.wgsl");
        let passes = Passes {
            labels: ["batch_norm/tangent chunks", "batch_norm/tangent merge", "batch_norm/tangent apply"],
            sources: [
                &[sums, include_str!("backward_chunks.wgsl")],
                &[sums, include_str!("sum_chunks.wgsl"), include_str!("tangent_merge.wgsl")],
                &[include_str!("tangent_apply.wgsl")],
            ],
            bindings: [
                vec![(0, Read), (2, Read), (SCRATCH, ReadWrite), (1, Read)],
                vec![(SCRATCH, Read), (2, Read), (3, Read), (4, Read), (7, ReadWrite)],
                vec![(0, Read), (1, Read), (7, Read), (5, Read), (6, ReadWrite)],
            ],
            images: [&images(&[0, 1], []), &images(&[0, 1, 6], [])],
        };
        passes.dispatches(&Columns::in_chunks(self.rows, self.channels), gpu)
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        2 * Columns::in_chunks(self.rows, self.channels).chunks * self.channels
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu_tangent::tangent(cpu, self.rows, self.channels, args);
    }
}

impl Kernel for BatchNormGradientTangent {
    fn name(&self) -> &'static str {
        "batch_norm/gradient_tangent"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.channels)
    }
    fn bindings(&self) -> Vec<Binding> {
        let (all, c) = (words([self.rows, self.channels]), self.channels);
        vec![
            Binding::read("x", all),
            Binding::read("x_tangent", all),
            Binding::read("channel", words([CHANNEL_WORDS, c])),
            Binding::read("dy", all),
            Binding::read("dy_tangent", all),
            Binding::write("dx_tangent", all),
            Binding::write("dweight_tangent", c),
            Binding::write("dbias_tangent", c),
        ]
    }
    fn cost(&self) -> Cost {
        let (all, c) = ((self.rows * self.channels) as u64, self.channels as u64);
        // xhat and u': 6, sums: 8; then both again and dx': 9. What is read is read twice.
        Cost { flops: 29 * all, bytes: 4 * (9 * all + (2 + CHANNEL_WORDS as u64) * c) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let sums = include_str!("sums.wgsl");
        let passes = Passes {
            labels: [
                "batch_norm/gradient_tangent chunks",
                "batch_norm/gradient_tangent merge",
                "batch_norm/gradient_tangent apply",
            ],
            sources: [
                &[sums, include_str!("gradient_tangent_chunks.wgsl")],
                &[sums, include_str!("gradient_tangent_merge.wgsl")],
                &[include_str!("gradient_tangent_apply.wgsl")],
            ],
            bindings: [
                vec![(0, Read), (1, Read), (2, Read), (3, Read), (4, Read), (SCRATCH, ReadWrite)],
                vec![(SCRATCH, ReadWrite), (6, ReadWrite), (7, ReadWrite)],
                vec![(0, Read), (1, Read), (2, Read), (3, Read), (4, Read), (SCRATCH, Read), (5, ReadWrite)],
            ],
            images: [&images(&[0, 1, 3, 4], []), &images(&[0, 1, 3, 4, 5], [])],
        };
        passes.dispatches(&Columns::in_chunks(self.rows, self.channels), gpu)
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        // The sums of each chunk, and of all.
        GRADIENT_SUMS * (Columns::in_chunks(self.rows, self.channels).chunks + 1) * self.channels
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu_tangent::gradient_tangent(cpu, self.rows, self.channels, args);
    }
}
