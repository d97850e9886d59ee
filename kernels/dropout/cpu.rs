//! Dropout on the CPU. The generator is integer arithmetic, which the compiler vectorises.

use super::Dropout;
use crate::random::{pcg4d, unit};
use crate::simd::{Simd, Vectorised};
use crate::{Args, Clock, Cpu};

/// Elements of a task, a multiple of [`BLOCK`].
const TASK: usize = 16_384;
/// Elements whose masks are drawn together: enough counters that the compiler keeps a loop over them and vectorises it.
const BLOCK: usize = 256;

struct Mask<'a> {
    kernel: Dropout,
    clock: Clock,
    scale: f32,
    /// Counter of the first element: its index / 4.
    counter: u32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Mask<'_> {
    /// What each element of a block is multiplied with: the scale, or 0.
    #[inline(always)]
    fn factors(&self, counter: u32, factors: &mut [f32; BLOCK]) {
        let (step, stream, seed) = (self.clock.step, self.kernel.stream(), self.clock.seed);
        let (rate, scale) = (self.kernel.rate, self.scale);
        let (fours, _) = factors.as_chunks_mut::<4>();
        for (i, four) in (0u32..).zip(fours) {
            let words = pcg4d([counter.wrapping_add(i), step, stream, seed]);
            for (factor, word) in four.iter_mut().zip(words) {
                *factor = if unit(word) >= rate { scale } else { 0.0 };
            }
        }
    }
}

impl Vectorised for Mask<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let mut factors = [0.0; BLOCK];
        for block in 0..self.y.len().div_ceil(BLOCK) {
            self.factors(self.counter.wrapping_add((block * BLOCK / 4) as u32), &mut factors);
            let range = block * BLOCK..((block + 1) * BLOCK).min(self.y.len());
            for ((y, x), factor) in self.y[range.clone()].iter_mut().zip(&self.x[range]).zip(&factors) {
                // Not a plain product: what is dropped is 0 even if x is not finite.
                *y = if *factor == 0.0 { 0.0 } else { x * factor };
            }
        }
    }
}

pub(super) fn dropout(kernel: &Dropout, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let ([x, y], _) = args.split();
    let (x, scale) = (x.f32(), kernel.scale());
    cpu.threads.chunks_mut(y.f32_mut(), TASK, &|index, y| {
        let start = index * TASK;
        let x = &x[start..start + y.len()];
        cpu.isa.run(Mask { kernel: *kernel, clock: *clock, scale, counter: (start / 4) as u32, x, y });
    });
}
