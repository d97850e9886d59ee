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
