//! The pull of parameters towards where they began, as a gradient and as a part of the loss.

use super::CHUNK;
use super::norm::partials;
use crate::Cpu;
use crate::kernel::{Access, Args, Binding, Clock, Cost, Dispatch, GpuTraits, Kernel, SCRATCH};
use crate::simd::{Simd, Vectorised};
use crate::size::words;
use crate::threads::Parts;

/// Which distance is pulled at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// Half of its square: `1/2 Σ (w - w0)²`, with the gradient `w - w0`.
    HalfSquare,
    /// The distance itself: `sqrt(Σ (w - w0)²)`, with the gradient `(w - w0) / distance`, and 0 where the distance is 0.
    /// Meant for short ranges: on a GPU one workgroup does it.
    Norm,
}

/// Adds a penalty on the distance of parameters w from initial ones w0 to their gradient, and to the loss of the step:
///
/// ```text
/// gradients += strength * d distance / dw
/// ring[clock.slot, 0] += strength * distance
/// ```
///
/// Shapes: params, initial and gradients `[len]`; ring `[ring_rows, words]`, of which one word changes. Regenerative
/// regularisation (Kumar and others, *Maintaining Plasticity in Continual Learning via Regenerative Regularization*, 2023)
/// is this with [`Distance::HalfSquare`] over all parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Regen {
    /// Number of parameters.
    pub len: usize,
    /// Factor of the distance.
    pub strength: f64,
    /// Which distance.
    pub distance: Distance,
    /// Rows of the metrics ring.
    pub ring_rows: usize,
    /// Words in a row of the metrics ring, at least 1.
    pub words: usize,
}

impl Kernel for Regen {
    fn name(&self) -> &'static str {
        "arena/regen"
    }

    fn shape(&self) -> String {
        match self.distance {
            Distance::HalfSquare => self.len.to_string(),
            Distance::Norm => format!("{} norm", self.len),
        }
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("params", self.len),
            Binding::read("initial", self.len),
            Binding::read_write("gradients", self.len),
            Binding::read_write("ring", words([self.ring_rows, self.words])),
        ]
    }

    fn cost(&self) -> Cost {
        let len = self.len as u64;
        match self.distance {
            Distance::HalfSquare => Cost { flops: 5 * len, bytes: 16 * len },
            // Two passes.
            Distance::Norm => Cost { flops: 6 * len, bytes: 24 * len },
        }
    }

    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        let (partials, strength) = (partials(self.len) as u32, self.strength as f32);
        let ring = [self.ring_rows as u32, self.words as u32];
        use Access::{Read, ReadWrite};
        let dispatch =
            |label: &'static str, source: &'static str, bindings, immediates, clock, groups| Dispatch {
                label: label.into(),
                source: source.into(),
                constants: Vec::new(),
                bindings,
                immediates,
                clock,
                grid: [groups, 1, 1],
                windows: Vec::new(),
            };
        match self.distance {
            Distance::HalfSquare => vec![
                dispatch(
                    "arena/regen gradient",
                    concat!(include_str!("tree.wgsl"), include_str!("regen.wgsl")),
                    vec![(0, Read), (1, Read), (2, ReadWrite), (SCRATCH, ReadWrite)],
                    vec![self.len as u32, strength.to_bits()],
                    false,
                    partials,
                ),
                dispatch(
                    "arena/regen loss",
                    concat!(
                        include_str!("../clock.wgsl"),
                        include_str!("tree.wgsl"),
                        include_str!("regen_loss.wgsl")
                    ),
                    vec![(SCRATCH, Read), (3, ReadWrite)],
                    vec![partials, (0.5 * strength).to_bits(), ring[0], ring[1]],
                    true,
                    1,
                ),
            ],
            Distance::Norm => vec![dispatch(
                "arena/regen norm",
                concat!(
                    include_str!("../clock.wgsl"),
                    include_str!("tree.wgsl"),
                    include_str!("regen_norm.wgsl")
                ),
                vec![(0, Read), (1, Read), (2, ReadWrite), (3, ReadWrite)],
                vec![self.len as u32, strength.to_bits(), ring[0], ring[1]],
                true,
                1,
            )],
        }
    }

    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        match self.distance {
            Distance::HalfSquare => partials(self.len),
            Distance::Norm => 0,
        }
    }

    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        self.len.div_ceil(CHUNK)
    }

    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([params, initial, gradients, ring], scratch) = args.split();
        let (params, initial, gradients) = (params.f32(), initial.f32(), gradients.f32_mut());
        let partials = bytemuck::cast_slice_mut(scratch);
        let mut pull = |factor: f64| pull(cpu, factor as f32, params, initial, gradients, partials);
        let penalty = match self.distance {
            Distance::HalfSquare => 0.5 * self.strength * pull(self.strength),
            Distance::Norm => {
                // The first time only to learn the distance.
                let norm = pull(0.0).sqrt();
                if norm > 0.0 {
                    pull(self.strength / norm);
                }
                self.strength * norm
            }
        };
        let slot = clock.slot as usize;
        if slot < self.ring_rows && self.words > 0 {
            ring.f32_mut()[slot * self.words] += penalty as f32;
        }
    }
}

/// Squared distance of params from initial, and its pull on the gradients.
struct PullChunk<'a> {
    params: &'a [f32],
    initial: &'a [f32],
    gradients: &'a mut [f32],
    factor: f32,
}

impl Vectorised for PullChunk<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let factor = s.splat(self.factor);
        let mut sum = s.splat(0.0);
        let (params, params_tail) = self.params.as_chunks::<16>();
        let (initial, initial_tail) = self.initial.as_chunks::<16>();
        let (gradients, gradients_tail) = self.gradients.as_chunks_mut::<16>();
        for ((p, w), g) in params.iter().zip(initial).zip(gradients) {
            let d = s.sub(s.load(p), s.load(w));
            s.store(g, s.fma(factor, d, s.load(g)));
            sum = s.fma(d, d, sum);
        }
        let d = s.sub(s.load_partial(params_tail), s.load_partial(initial_tail));
        s.store_partial(gradients_tail, s.fma(factor, d, s.load_partial(gradients_tail)));
        s.sum(s.fma(d, d, sum))
    }
}

/// `gradients += factor (params - initial)`; returns `sum (params - initial)^2`, added as the gradient norm is.
fn pull(
    cpu: &Cpu,
    factor: f32,
    params: &[f32],
    initial: &[f32],
    gradients: &mut [f32],
    partials: &mut [f32],
) -> f64 {
    let len = params.len();
    let partials = &mut partials[..len.div_ceil(CHUNK)];
    let gradients = Parts::new(gradients);
    cpu.threads.chunks_mut(partials, 1, &|index, partial| {
        let range = index * CHUNK..((index + 1) * CHUNK).min(len);
        // SAFETY: every index runs once, and the ranges of different indices do not overlap.
        let gradients = unsafe { gradients.part(range.clone()) };
        let (params, initial) = (&params[range.clone()], &initial[range]);
        partial[0] = cpu.isa.run(PullChunk { params, initial, gradients, factor });
    });
    partials.iter().map(|&partial| f64::from(partial)).sum()
}
