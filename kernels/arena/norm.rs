//! The reduction over an arena: the global gradient norm with its clipping factor.
//!
//! A sum of squares in two stages of fixed shape, so equal inputs give equal bits. On the GPU, the first stage leaves one
//! partial sum per workgroup in scratch memory and the second, one workgroup, adds them. On the CPU a partial sum covers
//! [`super::CHUNK`] floats, and the partial sums are added in f64.

use super::{CHUNK, THREADS};
use crate::Cpu;
use crate::kernel::{Access, Args, Binding, Clock, Cost, Dispatch, GpuTraits, Kernel, SCRATCH};
use crate::simd::{Simd, Vectorised};
use crate::size::words;

/// The word of a row of the metrics ring that [`GradientNorm`] writes.
pub const NORM_WORD: usize = 3;

/// The most partial sums of a GPU reduction: about one wave of workgroups on a large GPU, and few enough for one
/// workgroup to add quickly.
const MAX_PARTIALS: usize = 1024;

/// Workgroups of the first stage, each of which leaves one partial sum: a function of the length alone.
pub(super) fn partials(len: usize) -> usize {
    len.div_ceil(16 * THREADS).clamp(1, MAX_PARTIALS)
}

/// Global L2 norm of the gradients and the factor that clips it, as in `torch.nn.utils.clip_grad_norm_`:
///
/// ```text
/// clip[0] = norm = sqrt(sum gradients^2)
/// clip[1] = min(1, max_norm / (norm + 1e-6))
/// ring[clock.slot, 3] = norm
/// ```
///
/// The factor is 1 where nothing is clipped (`max_norm` is `None`) and where the norm is infinite or NaN, so that a
/// diverged run shows NaN in its weights instead of silently standing still. Shapes: gradients `[len]`, clip `[2]`,
/// ring `[ring_rows, words]` with at least four words per row; only one word of the ring is written.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientNorm {
    /// Number of gradients.
    pub len: usize,
    /// Largest norm that is left alone; `None` measures without clipping.
    pub max_norm: Option<f64>,
    /// Rows of the metrics ring.
    pub ring_rows: usize,
    /// Words in a row of the metrics ring, at least 4.
    pub words: usize,
}

impl GradientNorm {
    /// The limit as a finite float: the largest one where nothing is clipped.
    fn limit(&self) -> f32 {
        self.max_norm.map_or(f32::MAX, |limit| (limit as f32).min(f32::MAX))
    }

    /// The clipping factor of a norm.
    fn factor(&self, norm: f32) -> f32 {
        let length = norm + 1e-6;
        // Written so that NaN and infinity give 1.
        if norm.is_finite() && length > self.limit() { self.limit() / length } else { 1.0 }
    }
}

impl Kernel for GradientNorm {
    fn name(&self) -> &'static str {
        "arena/gradient_norm"
    }

    fn shape(&self) -> String {
        match self.max_norm {
            Some(limit) => format!("{} max {limit}", self.len),
            None => self.len.to_string(),
        }
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("gradients", self.len),
            Binding::write("clip", 2),
            Binding::read_write("ring", words([self.ring_rows, self.words])),
        ]
    }

    fn cost(&self) -> Cost {
        Cost { flops: 2 * self.len as u64, bytes: 4 * self.len as u64 }
    }

    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        let partials = partials(self.len) as u32;
        vec![
            Dispatch {
                label: "arena/gradient_norm partial sums".into(),
                source: concat!(include_str!("tree.wgsl"), include_str!("sum_of_squares.wgsl")).into(),
                constants: Vec::new(),
                bindings: vec![(0, Access::Read), (SCRATCH, Access::ReadWrite)],
                immediates: vec![self.len as u32],
                clock: false,
                grid: [partials, 1, 1],
                windows: Vec::new(),
            },
            Dispatch {
                label: "arena/gradient_norm clip".into(),
                source: concat!(
                    include_str!("../clock.wgsl"),
                    include_str!("tree.wgsl"),
                    include_str!("clip.wgsl")
                )
                .into(),
                constants: Vec::new(),
                bindings: vec![(SCRATCH, Access::Read), (1, Access::ReadWrite), (2, Access::ReadWrite)],
                immediates: vec![partials, self.limit().to_bits(), self.ring_rows as u32, self.words as u32],
                clock: true,
                grid: [1, 1, 1],
                windows: Vec::new(),
            },
        ]
    }

    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        partials(self.len)
    }

    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        self.len.div_ceil(CHUNK)
    }

    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([gradients, clip, ring], scratch) = args.split();
        let sum = sum_of_squares(cpu, gradients.f32(), bytemuck::cast_slice_mut(scratch));
        let norm = sum.sqrt() as f32;
        let clip = clip.f32_mut();
        clip[0] = norm;
        clip[1] = self.factor(norm);
        let slot = clock.slot as usize;
        if slot < self.ring_rows && NORM_WORD < self.words {
            ring.f32_mut()[slot * self.words + NORM_WORD] = norm;
        }
    }
}

/// Sum of squares.
struct Squares<'a>(&'a [f32]);

impl Vectorised for Squares<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        // Four independent sums hide the latency of the additions.
        let mut sums = [s.splat(0.0); 4];
        let (blocks, tail) = self.0.as_chunks::<64>();
        for block in blocks {
            for (sum, v) in sums.iter_mut().zip(block.as_chunks::<16>().0) {
                let v = s.load(v);
                *sum = s.fma(v, v, *sum);
            }
        }
        for v in tail.chunks(16) {
            let v = s.load_partial(v);
            sums[0] = s.fma(v, v, sums[0]);
        }
        s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
    }
}

/// `sum a^2`: a partial sum per chunk into `partials`, then all of them in f64, in order.
fn sum_of_squares(cpu: &Cpu, a: &[f32], partials: &mut [f32]) -> f64 {
    let partials = &mut partials[..a.len().div_ceil(CHUNK)];
    cpu.threads.chunks_mut(partials, 1, &|index, partial| {
        partial[0] = cpu.isa.run(Squares(&a[index * CHUNK..((index + 1) * CHUNK).min(a.len())]));
    });
    partials.iter().map(|&partial| f64::from(partial)).sum()
}
