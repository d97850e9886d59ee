//! Cross-entropy on the CPU: rows as tasks, classes in vector lanes.

use super::{CrossEntropy, RecordLoss};
use crate::math::exp_not_positive;
use crate::simd::{LANES, Simd, Vectorised, fold, larger};
use crate::threads::Parts;
use crate::{Args, Clock, Cpu};

/// Up to sixteen logits, filled up with minus infinity: no class.
#[inline(always)]
fn lanes<S: Simd>(s: S, from: &[f32]) -> [f32; LANES] {
    let mut lanes = s.lanes(s.load_partial(from));
    for (i, lane) in lanes.iter_mut().enumerate() {
        if i >= from.len() {
            *lane = f32::NEG_INFINITY;
        }
    }
    lanes
}

/// Which of the classes from `first` on beat the true one: adds 1 to their lanes.
#[inline(always)]
fn count_beating(logits: &[f32; LANES], first: usize, own: f32, label: usize, counts: &mut [u32; LANES]) {
    for (i, (&v, count)) in logits.iter().zip(counts).enumerate() {
        *count += u32::from((v > own) | ((v == own) & (first + i < label)));
    }
}

/// Loss and rank of one row, or `None` if it has no meaning; dlogits in any case.
#[inline(always)]
fn row<S: Simd>(
    s: S,
    logits: &[f32],
    label: usize,
    rows: f32,
    penalty: f32,
    dlogits: &mut [f32],
) -> Option<(f32, u32)> {
    let (vectors, tail) = logits.as_chunks::<LANES>();
    let tail = lanes(s, tail);
    let mut most = tail;
    let mut nans = [false; LANES];
    for vector in vectors.iter().chain([&tail]) {
        for i in 0..LANES {
            most[i] = larger(most[i], vector[i]);
            nans[i] |= vector[i].is_nan();
        }
    }
    let largest = fold(most, larger);
    if nans.contains(&true) || !largest.is_finite() || label >= logits.len() {
        dlogits.fill(f32::NAN);
        return None;
    }

    let own = logits[label];
    let mut counts = [0; LANES];
    count_beating(&tail, vectors.len() * LANES, own, label, &mut counts);
    let most = s.splat(largest);
    let tail = exp_not_positive(s, s.sub(s.load(&tail), most));
    let mut sums = tail;
    let (to, to_tail) = dlogits.as_chunks_mut::<LANES>();
    for (index, (vector, to)) in vectors.iter().zip(&mut *to).enumerate() {
        count_beating(vector, index * LANES, own, label, &mut counts);
        let exponential = exp_not_positive(s, s.sub(s.load(vector), most));
        s.store(to, exponential);
        sums = s.add(sums, exponential);
    }
    let sum = s.sum(sums);
    let scale = s.splat(1.0 / (sum * rows));
    for to in to {
        s.store(to, s.mul(s.load(to), scale));
    }
    s.store_partial(to_tail, s.mul(tail, scale));
    dlogits[label] -= 1.0 / rows;
    let mut loss = sum.ln() + (largest - own);
    // Not always: a logit of minus infinity times 0 would be a NaN.
    if penalty != 0.0 {
        for (gradient, &logit) in dlogits.iter_mut().zip(logits) {
            *gradient += 2.0 * penalty / rows * logit;
            loss += penalty * logit * logit;
        }
    }
    Some((loss, counts.iter().sum()))
}

struct Rows<'a> {
    classes: usize,
    /// Rows of the whole batch.
    count: f32,
    penalty: f32,
    logits: &'a [f32],
    labels: &'a [u32],
    dlogits: &'a mut [f32],
    loss: &'a mut [f32],
    rank: &'a mut [u32],
}

impl Vectorised for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.logits.chunks_exact(self.classes).zip(self.dlogits.chunks_exact_mut(self.classes));
        let results = self.labels.iter().zip(self.loss).zip(self.rank);
        for ((logits, dlogits), ((&label, loss), rank)) in rows.zip(results) {
            let result = row(s, logits, label as usize, self.count, self.penalty, dlogits);
            (*loss, *rank) = result.unwrap_or((f32::NAN, self.classes as u32));
        }
    }
}

pub(super) fn cross_entropy(kernel: &CrossEntropy, cpu: &Cpu, args: &mut Args) {
    let ([logits, labels, dlogits, loss, rank], _) = args.split();
    let (logits, labels) = (logits.f32(), labels.u32());
    let CrossEntropy { rows, classes, logit_penalty } = *kernel;
    let (dlogits, loss) = (Parts::new(dlogits.f32_mut()), Parts::new(loss.f32_mut()));
    let rank = Parts::new(rank.u32_mut());
    cpu.over_rows(rows, classes, |part| {
        let all = part.start * classes..part.end * classes;
        // SAFETY: every row belongs to one task.
        let (dlogits, loss, rank) =
            unsafe { (dlogits.part(all.clone()), loss.part(part.clone()), rank.part(part.clone())) };
        let (logits, labels) = (&logits[all], &labels[part]);
        let (count, penalty) = (rows as f32, logit_penalty as f32);
        cpu.isa.run(Rows { classes, count, penalty, logits, labels, dlogits, loss, rank });
    });
}

pub(super) fn record(kernel: &RecordLoss, clock: &Clock, args: &mut Args) {
    let ([loss, rank, ring], _) = args.split();
    let mean = loss.f32().iter().map(|&v| f64::from(v)).sum::<f64>() / kernel.rows as f64;
    let hits = |below: u32| rank.u32().iter().filter(|&&rank| rank < below).count() as f32;
    let slot = clock.slot as usize;
    if slot < kernel.ring_rows {
        let row = &mut ring.f32_mut()[slot * kernel.words..][..kernel.words];
        for (word, value) in row.iter_mut().zip([mean as f32, hits(1), hits(5)]) {
            *word = value;
        }
    }
}
