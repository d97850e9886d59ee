//! Dropout on the CPU. The generator is integer arithmetic, which the compiler vectorises.

use super::Dropout;
use crate::simd::{Simd, Vectorised};
use crate::{Args, Clock, Cpu};

/// Elements of a task, a multiple of [`BLOCK`].
const TASK: usize = 16_384;
/// Elements whose masks are drawn together: enough counters that the compiler keeps a loop over them and vectorises it.
const BLOCK: usize = 256;

struct Apply<'a> {
    kernel: Dropout,
    clock: Clock,
    /// Counter of the first element: its index / 4.
    counter: u32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Vectorised for Apply<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut factors = [0.0; BLOCK];
        for block in 0..self.y.len().div_ceil(BLOCK) {
            let counter = self.counter.wrapping_add((block * BLOCK / 4) as u32);
            self.kernel.mask().factors(s, &self.clock, counter, &mut factors);
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
    let x = x.f32();
    cpu.threads.chunks_mut(y.f32_mut(), TASK, &|index, y| {
        let start = index * TASK;
        let x = &x[start..start + y.len()];
        cpu.isa.run(Apply { kernel: *kernel, clock: *clock, counter: (start / 4) as u32, x, y });
    });
}
