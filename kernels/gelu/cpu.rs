//! GELU on the CPU: sixteen elements at a time, in a few large tasks.

use super::{Gelu, GeluBackward};
use crate::dropout::Mask;
use crate::math::{erf, exp_not_positive};
use crate::simd::{LANES, Simd, Vectorised};
use crate::{Args, Clock, Cpu};

/// Elements of a task, a multiple of [`BLOCK`].
const TASK: usize = 16_384;
/// Elements whose factors of dropout are drawn together.
const BLOCK: usize = 256;

/// Φ(x), the share of a standard normal distribution below x.
#[inline(always)]
fn below<S: Simd>(s: S, x: S::V) -> S::V {
    let half = s.splat(0.5);
    s.fma(half, erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2))), half)
}

/// `gelu(x)`.
#[inline(always)]
fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    s.mul(x, below(s, x))
}

/// `1 / sqrt(2 pi)`.
const DENSITY: f32 = 0.398_942_3;

/// `gelu'(x)`.
#[inline(always)]
fn slope<S: Simd>(s: S, x: S::V) -> S::V {
    let exponential = exp_not_positive(s, s.mul(s.mul(x, x), s.splat(-0.5)));
    s.fma(s.mul(x, s.splat(DENSITY)), exponential, below(s, x))
}

/// `gelu''(x) = exp(-x² / 2) / sqrt(2 pi) (2 - x²)`.
#[inline(always)]
fn bend<S: Simd>(s: S, x: S::V) -> S::V {
    let square = s.mul(x, x);
    let exponential = exp_not_positive(s, s.mul(square, s.splat(-0.5)));
    s.mul(s.mul(s.splat(DENSITY), exponential), s.sub(s.splat(2.0), square))
}

/// Not a plain product: what is dropped is 0 even if the value is not finite.
#[inline(always)]
fn masked<S: Simd>(s: S, value: S::V, factor: S::V) -> S::V {
    s.keep_positive(s.mul(value, factor), factor)
}

struct Task<'a> {
    mask: Option<Mask>,
    clock: &'a Clock,
    /// Index of the first element / 4.
    counter: u32,
    x: &'a [f32],
    /// dy, in the backward pass.
    dy: Option<&'a [f32]>,
    to: &'a mut [f32],
}

impl Vectorised for Task<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut factors = [1.0; BLOCK];
        let mut counter = self.counter;
        for (block, to) in self.to.chunks_mut(BLOCK).enumerate() {
            if let Some(mask) = self.mask {
                mask.factors(s, self.clock, counter, &mut factors);
                counter = counter.wrapping_add((BLOCK / 4) as u32);
            }
            let range = block * BLOCK..block * BLOCK + to.len();
            let (x, dy) = (&self.x[range.clone()], self.dy.map(|dy| &dy[range]));
            let (factors, _) = factors.as_chunks::<LANES>();
            let (whole, tail) = to.as_chunks_mut::<LANES>();
            let (x, x_tail) = x.as_chunks::<LANES>();
            if let Some(dy) = dy {
                let (dy, dy_tail) = dy.as_chunks::<LANES>();
                for (i, to) in whole.iter_mut().enumerate() {
                    let value = s.mul(slope(s, s.load(&x[i])), s.load(&dy[i]));
                    s.store(to, masked(s, value, s.load(&factors[i])));
                }
                if !tail.is_empty() {
                    let value = s.mul(slope(s, s.load_partial(x_tail)), s.load_partial(dy_tail));
                    s.store_partial(tail, masked(s, value, s.load(&factors[x.len()])));
                }
            } else {
                for (i, to) in whole.iter_mut().enumerate() {
                    s.store(to, masked(s, gelu(s, s.load(&x[i])), s.load(&factors[i])));
                }
                if !tail.is_empty() {
                    let value = gelu(s, s.load_partial(x_tail));
                    s.store_partial(tail, masked(s, value, s.load(&factors[x.len()])));
                }
            }
        }
    }
}

fn run(cpu: &Cpu, clock: &Clock, mask: Option<Mask>, x: &[f32], dy: Option<&[f32]>, to: &mut [f32]) {
    cpu.threads.chunks_mut(to, TASK, &|index, to| {
        let range = index * TASK..index * TASK + to.len();
        let counter = (range.start / 4) as u32;
        cpu.isa.run(Task { mask, clock, counter, x: &x[range.clone()], dy: dy.map(|dy| &dy[range]), to });
    });
}

pub(super) fn forward(kernel: &Gelu, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let ([x, y], _) = args.split();
    run(cpu, clock, kernel.mask, x.f32(), None, y.f32_mut());
}

pub(super) fn backward(kernel: &GeluBackward, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let ([x, dy, dx], _) = args.split();
    run(cpu, clock, kernel.mask, x.f32(), Some(dy.f32()), dx.f32_mut());
}

/// Some elements of the tangent of the gradient.
struct GradientTangent<'a> {
    x: &'a [f32],
    x_tangent: &'a [f32],
    dy: &'a [f32],
    dy_tangent: &'a [f32],
    to: &'a mut [f32],
}

impl Vectorised for GradientTangent<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let moves = self.x_tangent.chunks(LANES).zip(self.dy_tangent.chunks(LANES));
        let values = self.x.chunks(LANES).zip(self.dy.chunks(LANES)).zip(moves);
        for (((x, dy), (x_tangent, dy_tangent)), to) in values.zip(self.to.chunks_mut(LANES)) {
            let x = s.load_partial(x);
            let through_x = s.mul(s.mul(bend(s, x), s.load_partial(x_tangent)), s.load_partial(dy));
            s.store_partial(to, s.fma(slope(s, x), s.load_partial(dy_tangent), through_x));
        }
    }
}

pub(super) fn gradient_tangent(cpu: &Cpu, args: &mut Args) {
    let ([x, x_tangent, dy, dy_tangent, to], _) = args.split();
    let (x, x_tangent, dy, dy_tangent) = (x.f32(), x_tangent.f32(), dy.f32(), dy_tangent.f32());
    cpu.threads.chunks_mut(to.f32_mut(), TASK, &|index, to| {
        let range = index * TASK..index * TASK + to.len();
        let [x, x_tangent, dy, dy_tangent] =
            [x, x_tangent, dy, dy_tangent].map(|values| &values[range.clone()]);
        cpu.isa.run(GradientTangent { x, x_tangent, dy, dy_tangent, to });
    });
}
