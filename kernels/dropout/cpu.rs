//! Dropout on the CPU. The generator is integer arithmetic, which the compiler vectorises over sixteen counters.

use super::Dropout;
use crate::random::{pcg4d, unit};
use crate::simd::{LANES, Simd, Vectorised};
use crate::{Args, Clock, Cpu};

/// Elements of a task, a multiple of [`BLOCK`].
const TASK: usize = 16_384;
/// Elements whose masks are drawn together: sixteen counters of four words.
const BLOCK: usize = 4 * LANES;

struct Mask<'a> {
    kernel: Dropout,
    clock: Clock,
    /// Counter of the first element: its index / 4.
    counter: u32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Mask<'_> {
    /// What each of 64 elements is multiplied with: the scale, or 0.
    #[inline(always)]
    fn factors(&self, counter: u32) -> [f32; BLOCK] {
        let mut factors = [[0.0; LANES]; 4];
        let (rate, scale) = (self.kernel.rate, self.kernel.scale());
        // By index, not by iterator: the compiler vectorises this form.
        #[allow(clippy::needless_range_loop)]
        for i in 0..LANES {
            let counter =
                [counter.wrapping_add(i as u32), self.clock.step, self.kernel.stream(), self.clock.seed];
            let words = pcg4d(counter);
            for lane in 0..4 {
                factors[lane][i] = if unit(words[lane]) >= rate { scale } else { 0.0 };
            }
        }
        let mut interleaved = [0.0; BLOCK];
        for i in 0..LANES {
            for lane in 0..4 {
                interleaved[4 * i + lane] = factors[lane][i];
            }
        }
        interleaved
    }
}

impl Vectorised for Mask<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for block in 0..self.y.len().div_ceil(BLOCK) {
            let factors = self.factors(self.counter.wrapping_add((block * LANES) as u32));
            let range = block * BLOCK..((block + 1) * BLOCK).min(self.y.len());
            for ((y, x), factor) in self.y[range.clone()].iter_mut().zip(&self.x[range]).zip(factors) {
                // Not a plain product: what is dropped is 0 even if x is not finite.
                *y = if factor == 0.0 { 0.0 } else { x * factor };
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
        cpu.isa.run(Mask { kernel: *kernel, clock: *clock, counter: (start / 4) as u32, x, y });
    });
}
