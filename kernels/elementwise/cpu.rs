//! Element-wise maths on the CPU: sixteen at a time, in a few large tasks.

use crate::simd::{LANES, Simd, Vectorised};
use crate::{Args, Cpu};
use std::marker::PhantomData;

/// Elements of a task: fewer are not worth waking another thread.
const TASK: usize = 32_768;

/// A function of two elements.
trait Function: Sync {
    fn apply<S: Simd>(s: S, a: S::V, b: S::V) -> S::V;
}

struct Relu;
impl Function for Relu {
    #[inline(always)]
    fn apply<S: Simd>(s: S, x: S::V, _: S::V) -> S::V {
        // In this order a NaN passes: `max` returns its second argument then.
        s.max(s.splat(0.0), x)
    }
}

struct ReluBackward;
impl Function for ReluBackward {
    #[inline(always)]
    fn apply<S: Simd>(s: S, y: S::V, dy: S::V) -> S::V {
        s.keep_positive(dy, y)
    }
}

struct Add;
impl Function for Add {
    #[inline(always)]
    fn apply<S: Simd>(s: S, a: S::V, b: S::V) -> S::V {
        s.add(a, b)
    }
}

struct Map<'a, F> {
    a: &'a [f32],
    b: &'a [f32],
    to: &'a mut [f32],
    function: PhantomData<F>,
}

impl<F: Function> Vectorised for Map<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (a, a_tail) = self.a.as_chunks::<LANES>();
        let (b, b_tail) = self.b.as_chunks::<LANES>();
        let (to, to_tail) = self.to.as_chunks_mut::<LANES>();
        for ((a, b), to) in a.iter().zip(b).zip(to) {
            s.store(to, F::apply(s, s.load(a), s.load(b)));
        }
        s.store_partial(to_tail, F::apply(s, s.load_partial(a_tail), s.load_partial(b_tail)));
    }
}

fn map<F: Function>(cpu: &Cpu, a: &[f32], b: &[f32], to: &mut [f32]) {
    cpu.threads.chunks_mut(to, TASK, &|index, to| {
        let range = index * TASK..index * TASK + to.len();
        cpu.isa.run(Map { a: &a[range.clone()], b: &b[range], to, function: PhantomData::<F> });
    });
}

pub(super) fn relu(cpu: &Cpu, args: &mut Args) {
    let ([x, y], _) = args.split();
    map::<Relu>(cpu, x.f32(), x.f32(), y.f32_mut());
}

pub(super) fn relu_backward(cpu: &Cpu, args: &mut Args) {
    let ([y, dy, dx], _) = args.split();
    map::<ReluBackward>(cpu, y.f32(), dy.f32(), dx.f32_mut());
}

pub(super) fn add(cpu: &Cpu, args: &mut Args) {
    let ([a, b, c], _) = args.split();
    map::<Add>(cpu, a.f32(), b.f32(), c.f32_mut());
}

/// Both halves of some rows of CReLU. The loops over channels are plain Rust, which the compiler vectorises.
struct Crelu<'a> {
    channels: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Vectorised for Crelu<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (x, y) in self.x.chunks_exact(self.channels).zip(self.y.chunks_exact_mut(2 * self.channels)) {
            let (positive, negative) = y.split_at_mut(self.channels);
            for ((&x, positive), negative) in x.iter().zip(positive).zip(negative) {
                // A comparison with a NaN is false, so the NaN passes.
                *positive = if x < 0.0 { 0.0 } else { x };
                *negative = if x > 0.0 { 0.0 } else { -x };
            }
        }
    }
}

/// The gradient of some rows of CReLU.
struct CreluBackward<'a> {
    channels: usize,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Vectorised for CreluBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let rows = self.x.chunks_exact(self.channels).zip(self.dy.chunks_exact(2 * self.channels));
        for ((x, dy), dx) in rows.zip(self.dx.chunks_exact_mut(self.channels)) {
            let (positive, negative) = dy.split_at(self.channels);
            for (((&x, &positive), &negative), dx) in x.iter().zip(positive).zip(negative).zip(dx) {
                let below = if x < 0.0 { -negative } else { 0.0 };
                *dx = if x > 0.0 { positive } else { below };
            }
        }
    }
}

/// Elements of the rows of a task, of `channels` each: at least one row.
fn whole_rows(channels: usize) -> usize {
    (TASK / channels).max(1) * channels
}

pub(super) fn crelu(cpu: &Cpu, channels: usize, args: &mut Args) {
    let ([x, y], _) = args.split();
    let (x, length) = (x.f32(), whole_rows(channels));
    cpu.threads.chunks_mut(y.f32_mut(), 2 * length, &|index, y| {
        let x = &x[index * length..][..y.len() / 2];
        cpu.isa.run(Crelu { channels, x, y });
    });
}

pub(super) fn crelu_backward(cpu: &Cpu, channels: usize, args: &mut Args) {
    let ([x, dy, dx], _) = args.split();
    let (x, dy, length) = (x.f32(), dy.f32(), whole_rows(channels));
    cpu.threads.chunks_mut(dx.f32_mut(), length, &|index, dx| {
        let start = index * length;
        let (x, dy) = (&x[start..][..dx.len()], &dy[2 * start..][..2 * dx.len()]);
        cpu.isa.run(CreluBackward { channels, x, dy, dx });
    });
}

/// How some rows of CReLU move.
struct CreluTangent<'a> {
    channels: usize,
    x: &'a [f32],
    x_tangent: &'a [f32],
    y_tangent: &'a mut [f32],
}

impl Vectorised for CreluTangent<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let rows = self.x.chunks_exact(self.channels).zip(self.x_tangent.chunks_exact(self.channels));
        for ((x, moved), y) in rows.zip(self.y_tangent.chunks_exact_mut(2 * self.channels)) {
            let (positive, negative) = y.split_at_mut(self.channels);
            for (((&x, &moved), positive), negative) in x.iter().zip(moved).zip(positive).zip(negative) {
                *positive = if x > 0.0 { moved } else { 0.0 };
                *negative = if x < 0.0 { -moved } else { 0.0 };
            }
        }
    }
}

pub(super) fn crelu_tangent(cpu: &Cpu, channels: usize, args: &mut Args) {
    let ([x, x_tangent, y_tangent], _) = args.split();
    let (x, x_tangent, length) = (x.f32(), x_tangent.f32(), whole_rows(channels));
    cpu.threads.chunks_mut(y_tangent.f32_mut(), 2 * length, &|index, y_tangent| {
        let at = index * length..index * length + y_tangent.len() / 2;
        let (x, x_tangent) = (&x[at.clone()], &x_tangent[at]);
        cpu.isa.run(CreluTangent { channels, x, x_tangent, y_tangent });
    });
}
