//! Arena kernels on the CPU: vectors of sixteen floats, chunks of fixed size.

use super::{AdamW, BLOCK, CHUNK, FADED, FADED_SQUARE, Fresh, Perturb};
use crate::Cpu;
use crate::kernel::Clock;
use crate::math::normals;
use crate::random::stream;
use crate::simd::{DRAWN, LANES, Simd, Vectorised};
use crate::threads::Parts;

/// What is the same for all parameters of an AdamW step.
#[derive(Clone, Copy)]
struct AdamWFactors {
    clip: f32,
    decay: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    inverse_correction2_sqrt: f32,
    eps: f32,
    step_size: f32,
}

struct AdamWChunk<'a> {
    params: &'a mut [f32],
    exp_avg: &'a mut [f32],
    exp_avg_sq: &'a mut [f32],
    gradients: &'a [f32],
    factors: AdamWFactors,
}

/// New parameter and moments of sixteen parameters.
#[inline(always)]
fn adamw_vector<S: Simd>(s: S, f: &AdamWFactors, [p, m, v, g]: [S::V; 4]) -> [S::V; 3] {
    let g = s.mul(g, s.splat(f.clip));
    let m = s.fma(s.sub(g, m), s.splat(f.one_minus_beta1), m);
    let v = s.fma(s.mul(g, s.splat(f.one_minus_beta2)), g, s.mul(v, s.splat(f.beta2)));
    let denominator = s.fma(s.sqrt(v), s.splat(f.inverse_correction2_sqrt), s.splat(f.eps));
    let step = s.div(s.mul(m, s.splat(f.step_size)), denominator);
    // Subtracted, not selected: a NaN stays.
    let magnitude = s.max(m, s.sub(s.splat(0.0), m));
    let kept = s.sub(m, s.keep_positive(m, s.sub(s.splat(FADED), magnitude)));
    let kept_square = s.sub(v, s.keep_positive(v, s.sub(s.splat(FADED_SQUARE), v)));
    [s.sub(s.mul(p, s.splat(f.decay)), step), kept, kept_square]
}

impl Vectorised for AdamWChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let f = self.factors;
        let (params, params_tail) = self.params.as_chunks_mut::<16>();
        let (exp_avg, exp_avg_tail) = self.exp_avg.as_chunks_mut::<16>();
        let (exp_avg_sq, exp_avg_sq_tail) = self.exp_avg_sq.as_chunks_mut::<16>();
        let (gradients, gradients_tail) = self.gradients.as_chunks::<16>();
        for (((p, m), v), g) in params.iter_mut().zip(exp_avg).zip(exp_avg_sq).zip(gradients) {
            let new = adamw_vector(s, &f, [s.load(p), s.load(m), s.load(v), s.load(g)]);
            s.store(p, new[0]);
            s.store(m, new[1]);
            s.store(v, new[2]);
        }
        if !params_tail.is_empty() {
            let old = [
                s.load_partial(params_tail),
                s.load_partial(exp_avg_tail),
                s.load_partial(exp_avg_sq_tail),
                s.load_partial(gradients_tail),
            ];
            let new = adamw_vector(s, &f, old);
            s.store_partial(params_tail, new[0]);
            s.store_partial(exp_avg_tail, new[1]);
            s.store_partial(exp_avg_sq_tail, new[2]);
        }
    }
}

/// One AdamW step; `arenas` are parameters, first and second moments.
pub(super) fn adamw(
    kernel: &AdamW,
    cpu: &Cpu,
    clock: &Clock,
    clip: f32,
    arenas: [&mut [f32]; 3],
    gradients: &[f32],
) {
    let learning_rate = f64::from(clock.learning_rate);
    let factors = AdamWFactors {
        clip,
        decay: (1.0 - learning_rate * kernel.weight_decay) as f32,
        one_minus_beta1: (1.0 - kernel.beta1) as f32,
        beta2: kernel.beta2 as f32,
        one_minus_beta2: (1.0 - kernel.beta2) as f32,
        inverse_correction2_sqrt: (1.0 / f64::from(clock.bias_correction2_sqrt)) as f32,
        eps: kernel.eps as f32,
        step_size: (learning_rate / f64::from(clock.bias_correction1)) as f32,
    };
    let [params, exp_avg, exp_avg_sq] = arenas.map(Parts::new);
    cpu.threads.run(kernel.len.div_ceil(CHUNK), &|index| {
        let range = index * CHUNK..((index + 1) * CHUNK).min(kernel.len);
        // SAFETY: every index runs once, and the ranges of different indices do not overlap.
        let [params, exp_avg, exp_avg_sq] = unsafe {
            [params.part(range.clone()), exp_avg.part(range.clone()), exp_avg_sq.part(range.clone())]
        };
        cpu.isa.run(AdamWChunk { params, exp_avg, exp_avg_sq, gradients: &gradients[range], factors });
    });
}

struct BlendChunk<'a> {
    target: &'a mut [f32],
    source: &'a [f32],
    keep: f32,
    one_minus_keep: f32,
}

impl Vectorised for BlendChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (keep, one_minus_keep) = (s.splat(self.keep), s.splat(self.one_minus_keep));
        let (target, target_tail) = self.target.as_chunks_mut::<16>();
        let (source, source_tail) = self.source.as_chunks::<16>();
        for (t, v) in target.iter_mut().zip(source) {
            s.store(t, s.fma(keep, s.load(t), s.mul(one_minus_keep, s.load(v))));
        }
        let (old, v) = (s.load_partial(target_tail), s.load_partial(source_tail));
        s.store_partial(target_tail, s.fma(keep, old, s.mul(one_minus_keep, v)));
    }
}

/// `target = keep * target + one_minus_keep * source`.
pub(super) fn blend(cpu: &Cpu, keep: f32, one_minus_keep: f32, target: &mut [f32], source: &[f32]) {
    cpu.threads.chunks_mut(target, CHUNK, &|index, target| {
        let source = &source[index * CHUNK..][..target.len()];
        cpu.isa.run(BlendChunk { target, source, keep, one_minus_keep });
    });
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
pub(super) fn sum_of_squares(cpu: &Cpu, a: &[f32], partials: &mut [f32]) -> f64 {
    let partials = &mut partials[..a.len().div_ceil(CHUNK)];
    cpu.threads.chunks_mut(partials, 1, &|index, partial| {
        partial[0] = cpu.isa.run(Squares(&a[index * CHUNK..((index + 1) * CHUNK).min(a.len())]));
    });
    partials.iter().map(|&partial| f64::from(partial)).sum()
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

/// `gradients += factor (params - initial)`; returns `sum (params - initial)^2`, added as in [`sum_of_squares`].
pub(super) fn pull(
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

/// Blocks of a [`Perturb`].
struct PerturbChunk<'a> {
    kernel: &'a Perturb,
    clock: &'a Clock,
    /// The first block.
    first: usize,
    target: &'a mut [f32],
    table: &'a [Fresh],
}

/// Blocks whose numbers are drawn together.
const BLOCKS: usize = DRAWN / BLOCK;

impl Vectorised for PerturbChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factors = (s.splat(self.kernel.keep as f32), self.kernel.scale as f32);
        let blocks = self.target.as_chunks_mut::<BLOCK>().0.chunks_mut(BLOCKS);
        for (index, (blocks, table)) in blocks.zip(self.table.chunks(BLOCKS)).enumerate() {
            let counter = ((self.first + index * BLOCKS) * BLOCK / 4) as u32;
            let numbers = s.random(counter, [self.clock.step, stream::PERTURB, self.clock.seed]);
            let numbers = numbers.as_chunks::<{ BLOCK / LANES }>().0;
            for ((block, fresh), numbers) in blocks.iter_mut().zip(table).zip(numbers) {
                perturb_block(s, block, fresh, *numbers, factors);
            }
        }
    }
}

/// `target = keep * target + scale * fresh` for one block and its random integers.
#[inline(always)]
fn perturb_block<S: Simd>(
    s: S,
    target: &mut [f32; BLOCK],
    fresh: &Fresh,
    numbers: [S::V; BLOCK / LANES],
    (keep, scale): (S::V, f32),
) {
    // center + width (2 number / 2^24 - 1), times the scale
    let (width, lowest) = (s.splat(fresh.width / 8_388_608.0), s.splat(fresh.center - fresh.width));
    let value = |number| s.mul(s.splat(scale), s.fma(width, number, lowest));
    if fresh.deviation == 0.0 && fresh.used == BLOCK as f32 {
        for (target, number) in target.as_chunks_mut::<LANES>().0.iter_mut().zip(numbers) {
            let blended = s.fma(keep, s.load(target), value(number));
            s.store(target, blended);
        }
        return;
    }
    let mut values = numbers.map(|number| s.lanes(value(number)));
    if fresh.deviation != 0.0 {
        let factor = scale * fresh.deviation;
        let numbers = numbers.map(|numbers| s.lanes(numbers).map(|number| number as u32));
        let pairs = numbers.as_flattened().as_chunks::<2>().0;
        for (values, &pair) in values.as_flattened_mut().as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
            let normals = normals(pair);
            values[0] += factor * normals[0];
            values[1] += factor * normals[1];
        }
    }
    let used = (fresh.used as usize).min(BLOCK);
    for (target, values) in target[..used].chunks_mut(LANES).zip(&values) {
        let blended = s.fma(keep, s.load_partial(target), s.load(values));
        s.store_partial(target, blended);
    }
}

/// `target = keep * target + scale * fresh`.
pub(super) fn perturb(kernel: &Perturb, cpu: &Cpu, clock: &Clock, target: &mut [f32], table: &[Fresh]) {
    cpu.threads.chunks_mut(target, CHUNK, &|index, target| {
        let first = index * CHUNK / BLOCK;
        let table = &table[first..first + target.len() / BLOCK];
        cpu.isa.run(PerturbChunk { kernel, clock, first, target, table });
    });
}
