//! Dormant units on the CPU. Blocks without any are left alone, blocks of nothing else are drawn where they lie.

use super::{Dormant, EPSILON, Recycle, Renewed};
use crate::math::normals;
use crate::random::stream;
use crate::simd::{DRAWN, LANES, Simd, Vectorised};
use crate::{Args, Clock, Cpu};

/// Elements of a task, a multiple of [`BLOCK`].
const TASK: usize = 16_384;
/// Elements whose values are drawn together.
const BLOCK: usize = 1024;

pub(super) fn dormant(kernel: &Dormant, args: &mut Args) {
    let ([activity, dormant, count], _) = args.split();
    let activity = activity.f32();
    let per_value = 1.0 / kernel.values as f64;
    let total: f64 = activity.iter().map(|&sum| f64::from(sum) * per_value).sum();
    let mean = total / kernel.units as f64 + f64::from(EPSILON);
    let mut found = 0;
    for (dormant, &sum) in dormant.u32_mut().iter_mut().zip(activity) {
        *dormant = u32::from(f64::from(sum) * per_value <= f64::from(kernel.threshold) * mean);
        found += *dormant;
    }
    count.u32_mut()[0] = found;
}

struct Renew<'a> {
    kernel: Recycle,
    clock: Clock,
    dormant: &'a [u32],
    /// Whether all units are dormant.
    all: bool,
    /// Index in the tensor of the first element, a multiple of [`TASK`].
    first: usize,
    target: &'a mut [f32],
}

impl Renew<'_> {
    /// The values that elements from `first` on would have if all their units were dormant.
    #[inline(always)]
    fn renew<S: Simd>(&self, s: S, first: usize, values: &mut [f32; BLOCK]) {
        let (bound, tensor) = match self.kernel.renewed {
            Renewed::Constant(value) => return values.fill(value),
            Renewed::Uniform { bound, tensor } => (bound, tensor),
            Renewed::Normal { deviation, tensor } => {
                return self.normal(s, first, values, (deviation, tensor));
            }
        };
        let key = [self.clock.step, stream::RECYCLE + tensor, self.clock.seed];
        // (2 number / 2^24 - 1) bound, rounded once
        let (factor, lowest) = (s.splat(bound / 8_388_608.0), s.splat(-bound));
        for (i, values) in values.as_chunks_mut::<DRAWN>().0.iter_mut().enumerate() {
            let counter = ((first + i * DRAWN) / 4) as u32;
            for (values, number) in values.as_chunks_mut::<LANES>().0.iter_mut().zip(s.random(counter, key)) {
                s.store(values, s.fma(factor, number, lowest));
            }
        }
    }

    /// The same for normal values.
    #[inline(always)]
    fn normal<S: Simd>(
        &self,
        s: S,
        first: usize,
        values: &mut [f32; BLOCK],
        (deviation, tensor): (f32, u32),
    ) {
        let key = [self.clock.step, stream::RECYCLE + tensor, self.clock.seed];
        for (i, values) in values.as_chunks_mut::<DRAWN>().0.iter_mut().enumerate() {
            let counter = ((first + i * DRAWN) / 4) as u32;
            for (values, number) in values.as_chunks_mut::<LANES>().0.iter_mut().zip(s.random(counter, key)) {
                let numbers = s.lanes(number).map(|number| number as u32);
                for (pair, &words) in values.as_chunks_mut::<2>().0.iter_mut().zip(numbers.as_chunks::<2>().0)
                {
                    *pair = normals(words).map(|normal| deviation * normal);
                }
            }
        }
    }

    /// Runs of elements `at..end` of a block that are of one unit, or, where neighbours are units, of units in a row; with
    /// the first unit.
    #[inline(always)]
    fn runs(
        &self,
        first: usize,
        len: usize,
    ) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> + use<> {
        let Recycle { units, inner, .. } = self.kernel;
        let mut at = 0;
        std::iter::from_fn(move || {
            let element = first + at;
            let unit = element / inner % units;
            let rest = if inner == 1 { units - unit } else { inner - element % inner };
            let run = at..len.min(at + rest);
            at = run.end;
            (!run.is_empty()).then_some((run, unit))
        })
    }

    /// Whether some and whether all units of a block are dormant. Where neighbours are units, most blocks have all of them.
    fn dormant_in(&self, first: usize, len: usize) -> (bool, bool) {
        if self.kernel.inner == 1 {
            return (true, self.all);
        }
        self.runs(first, len).fold((false, true), |(some, all), (_, unit)| {
            let dormant = self.dormant[unit] != 0;
            (some || dormant, all && dormant)
        })
    }

    /// Dormant units of a run that begins with `unit`.
    fn of_run(&self, run: &std::ops::Range<usize>, unit: usize) -> &[u32] {
        &self.dormant[unit..unit + if self.kernel.inner == 1 { run.len() } else { 1 }]
    }
}

impl Vectorised for Renew<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let target = std::mem::take(&mut self.target);
        let mut values = [0.0; BLOCK];
        for (index, block) in target.chunks_mut(BLOCK).enumerate() {
            let first = self.first + index * BLOCK;
            let (some, all) = self.dormant_in(first, block.len());
            match <&mut [f32; BLOCK]>::try_from(&mut *block) {
                _ if !some => continue,
                Ok(block) if all => {
                    self.renew(s, first, block);
                    continue;
                }
                _ => self.renew(s, first, &mut values),
            }
            for (run, unit) in self.runs(first, block.len()) {
                let dormant = self.of_run(&run, unit);
                let (block, values) = (&mut block[run.clone()], &values[run]);
                if self.kernel.inner > 1 {
                    if dormant[0] != 0 {
                        block.copy_from_slice(values);
                    }
                    continue;
                }
                for ((target, value), dormant) in block.iter_mut().zip(values).zip(dormant) {
                    // Bits, not a branch: the compiler vectorises it.
                    let (mask, old) = (0u32.wrapping_sub(*dormant), target.to_bits());
                    *target = f32::from_bits(old & !mask | value.to_bits() & mask);
                }
            }
        }
    }
}

pub(super) fn recycle(kernel: &Recycle, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let ([dormant, target], _) = args.split();
    let dormant = dormant.u32();
    let count = dormant.iter().filter(|&&dormant| dormant != 0).count();
    if count == 0 {
        return;
    }
    let all = count == dormant.len();
    cpu.threads.chunks_mut(target.f32_mut(), TASK, &|index, target| {
        let (kernel, clock, first) = (*kernel, *clock, index * TASK);
        cpu.isa.run(Renew { kernel, clock, dormant, all, first, target });
    });
}
