//! Dormant units on the CPU. The generator is integer arithmetic, which the compiler vectorises.

use super::{Dormant, EPSILON, Recycle, Renewed};
use crate::random::stream;
use crate::simd::{LANES, Simd, UNITS, Vectorised};
use crate::{Args, Clock, Cpu};

/// Elements of a task, a multiple of [`BLOCK`].
const TASK: usize = 16_384;
/// Elements whose values are drawn together.
const BLOCK: usize = 256;

pub(super) fn dormant(kernel: &Dormant, args: &mut Args) {
    let ([activity, dormant, count], _) = args.split();
    let activity = activity.f32();
    let per_value = 1.0 / kernel.values as f64;
    let total: f64 = activity.iter().map(|&sum| f64::from(sum) * per_value).sum();
    let mean = total / kernel.units as f64 + f64::from(EPSILON);
    let mut found = 0;
    for (dormant, &sum) in dormant.u32_mut().iter_mut().zip(activity) {
        *dormant = u32::from(f64::from(sum) * per_value / mean <= f64::from(kernel.threshold));
        found += *dormant;
    }
    count.u32_mut()[0] = found;
}

struct Renew<'a> {
    kernel: Recycle,
    clock: Clock,
    dormant: &'a [u32],
    /// Index in the tensor of the first element, a multiple of [`TASK`].
    first: usize,
    target: &'a mut [f32],
}

impl Renew<'_> {
    /// The values that a block from element `first` on would have if all its units were dormant.
    #[inline(always)]
    fn values<S: Simd>(&self, s: S, first: usize, values: &mut [f32; BLOCK]) {
        let Renewed::Uniform { bound, tensor } = self.kernel.renewed else { return };
        let key = [self.clock.step, stream::RECYCLE + tensor, self.clock.seed];
        for (i, values) in values.as_chunks_mut::<UNITS>().0.iter_mut().enumerate() {
            let counter = ((first + i * UNITS) / 4) as u32;
            for (values, unit) in values.as_chunks_mut::<LANES>().0.iter_mut().zip(s.units(counter, key)) {
                s.store(values, s.mul(s.sub(s.add(unit, unit), s.splat(1.0)), s.splat(bound)));
            }
        }
    }
}

impl Vectorised for Renew<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Recycle { units, inner, renewed, .. } = self.kernel;
        let mut values = match renewed {
            Renewed::Constant(value) => [value; BLOCK],
            Renewed::Uniform { .. } => [0.0; BLOCK],
        };
        for start in (0..self.target.len()).step_by(BLOCK) {
            let (first, len) = (self.first + start, BLOCK.min(self.target.len() - start));
            self.values(s, first, &mut values);
            let block = &mut self.target[start..start + len];
            let mut at = 0;
            while at < len {
                let element = first + at;
                let unit = element / inner % units;
                // Up to the end of the unit, or, where neighbours are units, of the row of units.
                let rest = if inner == 1 { units - unit } else { inner - element % inner };
                let end = len.min(at + rest);
                if inner == 1 {
                    let dormant = &self.dormant[unit..unit + end - at];
                    for ((target, value), dormant) in
                        block[at..end].iter_mut().zip(&values[at..end]).zip(dormant)
                    {
                        // Bits, not a branch: the compiler vectorises it.
                        let (mask, old) = (0u32.wrapping_sub(*dormant), target.to_bits());
                        *target = f32::from_bits(old & !mask | value.to_bits() & mask);
                    }
                } else if self.dormant[unit] != 0 {
                    block[at..end].copy_from_slice(&values[at..end]);
                }
                at = end;
            }
        }
    }
}

pub(super) fn recycle(kernel: &Recycle, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let ([dormant, target], _) = args.split();
    let dormant = dormant.u32();
    if dormant.iter().all(|&dormant| dormant == 0) {
        return;
    }
    cpu.threads.chunks_mut(target.f32_mut(), TASK, &|index, target| {
        let (kernel, clock, first) = (*kernel, *clock, index * TASK);
        cpu.isa.run(Renew { kernel, clock, dormant, first, target });
    });
}
