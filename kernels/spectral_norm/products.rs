//! The products of a matrix on the CPU. What is added up is added in an order that depends on the shapes alone.

use super::EPSILON;
use crate::Cpu;
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;

/// Columns of a task of [`transposed`]: their sums stay in the first cache.
const COLUMNS: usize = 256;

/// `to = Wᵀ u` for W `[u.len(), to.len()]`.
pub(super) fn transposed(cpu: &Cpu, weight: &[f32], u: &[f32], to: &mut [f32]) {
    let inputs = to.len();
    let to = Parts::new(to);
    cpu.threads.run(inputs.div_ceil(COLUMNS), &|task| {
        let columns = task * COLUMNS..((task + 1) * COLUMNS).min(inputs);
        // SAFETY: every column belongs to one task.
        let sums = unsafe { to.part(columns.clone()) };
        sums.fill(0.0);
        for (row, &factor) in weight.chunks_exact(inputs).zip(u) {
            cpu.isa.run(AddScaled { factor, from: &row[columns.clone()], to: sums });
        }
    });
}

/// `to = W v` for W `[to.len(), v.len()]`.
pub(super) fn rows(cpu: &Cpu, weight: &[f32], v: &[f32], to: &mut [f32]) {
    let (outputs, inputs, to) = (to.len(), v.len(), Parts::new(to));
    cpu.over_rows(outputs, inputs, |part| {
        // SAFETY: every row belongs to one task.
        let sums = unsafe { to.part(part.clone()) };
        for (sum, row) in sums.iter_mut().zip(part) {
            *sum = cpu.isa.run(Dot { a: &weight[row * inputs..][..inputs], b: v });
        }
    });
}

/// Divides a vector by its length, and returns that.
pub(super) fn unit(vector: &mut [f32]) -> f32 {
    let length = vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt() as f32;
    // In this order a NaN stays a NaN.
    let length = if length < EPSILON { EPSILON } else { length };
    vector.iter_mut().for_each(|v| *v /= length);
    length
}

/// `to = from / by`, in rows of `columns`.
pub(super) fn divided(cpu: &Cpu, columns: usize, from: &[f32], by: f32, to: &mut [f32]) {
    let to_parts = Parts::new(to);
    cpu.over_rows(from.len() / columns, columns, |part| {
        let all = part.start * columns..part.end * columns;
        // SAFETY: every row belongs to one task.
        let to = unsafe { to_parts.part(all.clone()) };
        to.iter_mut().zip(&from[all]).for_each(|(to, from)| *to = from / by);
    });
}

struct AddScaled<'a> {
    factor: f32,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Vectorised for AddScaled<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factor = s.splat(self.factor);
        let (from, from_tail) = self.from.as_chunks::<LANES>();
        let (to, to_tail) = self.to.as_chunks_mut::<LANES>();
        for (to, from) in to.iter_mut().zip(from) {
            s.store(to, s.fma(s.load(from), factor, s.load(to)));
        }
        s.store_partial(to_tail, s.fma(s.load_partial(from_tail), factor, s.load_partial(to_tail)));
    }
}

/// The sum of the products of two vectors of one length.
pub(super) struct Dot<'a> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
}

impl Vectorised for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let (a, a_tail) = self.a.as_chunks::<LANES>();
        let (b, b_tail) = self.b.as_chunks::<LANES>();
        let mut sum = s.mul(s.load_partial(a_tail), s.load_partial(b_tail));
        for (a, b) in a.iter().zip(b) {
            sum = s.fma(s.load(a), s.load(b), sum);
        }
        s.sum(sum)
    }
}
