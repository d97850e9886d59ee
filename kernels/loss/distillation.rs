//! The divergence of a student from a teacher.

use super::{GRID, THREAD_CLASSES};
use crate::math::exp_not_positive;
use crate::simd::{LANES, Simd, Vectorised};
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Threads of a workgroup, which one row or as many rows share.
const THREADS: usize = 128;

/// Adds the divergence of a student from a teacher to a loss and to its gradient. For the softmax q of the student's logits
/// and p of the teacher's, both `[rows, classes]`:
///
/// ```text
/// row_loss += weight Σ_k p_k (log p_k - log q_k)          KL(p || q), in a form without differences of large numbers
/// dlogits  += weight (q - p) / rows                       the gradient of mean(row_loss)
/// ```
///
/// Self-distillation is this with an average of the student as its teacher and temperature 1 (Hinton and others 2015). A
/// logit that is not finite makes the loss of its row NaN or infinite.
#[derive(Clone, Copy, Debug)]
pub struct Distillation {
    /// Examples of the batch.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
    /// Factor of the divergence.
    pub weight: f64,
}

impl Kernel for Distillation {
    fn name(&self) -> &'static str {
        "loss/distillation"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.classes)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.classes]);
        vec![
            Binding::read("logits", all),
            Binding::read("teacher", all),
            Binding::read_write("dlogits", all),
            Binding::read_write("row_loss", self.rows),
        ]
    }
    fn cost(&self) -> Cost {
        let (all, rows) = ((self.rows * self.classes) as u64, self.rows as u64);
        // Two maxima, differences and exponentials, three sums, gradient.
        Cost { flops: 14 * all + 8 * rows, bytes: 4 * (4 * all + 2 * rows) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let lanes = if self.classes <= THREAD_CLASSES { 1 } else { THREADS };
        let groups = self.rows.div_ceil(THREADS / lanes) as u32;
        let weights = [self.weight as f32, (self.weight / self.rows as f64) as f32];
        vec![Dispatch {
            label: format!("loss/distillation {lanes} threads per row").into(),
            source: include_str!("distillation.wgsl").into(),
            constants: vec![("lanes", lanes as f64)],
            bindings: vec![(0, Read), (1, Read), (2, ReadWrite), (3, ReadWrite)],
            immediates: vec![
                self.rows as u32,
                self.classes as u32,
                weights[0].to_bits(),
                weights[1].to_bits(),
            ],
            clock: false,
            grid: [groups.min(GRID), 1, 1],
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        distillation(self, cpu, args);
    }
}

/// Up to sixteen numbers, filled up.
#[inline(always)]
fn filled<S: Simd>(s: S, from: &[f32], with: f32) -> S::V {
    let mut lanes = [with; LANES];
    lanes[..from.len()].copy_from_slice(from);
    s.load(&lanes)
}

/// Exponentials of up to sixteen differences from the largest logit, zeros behind them, and the differences.
#[inline(always)]
fn exponentials<S: Simd>(s: S, from: &[f32], largest: f32) -> (S::V, S::V) {
    let differences = s.sub(filled(s, from, largest), s.splat(largest));
    let mut inside = [0.0; LANES];
    inside[..from.len()].fill(1.0);
    (s.mul(exp_not_positive(s, differences), s.load(&inside)), differences)
}

/// The rows of a task of [`Distillation`].
struct TaughtRows<'a> {
    classes: usize,
    weight: f32,
    /// Weight / rows of the whole batch.
    gradient_weight: f32,
    logits: &'a [f32],
    teacher: &'a [f32],
    dlogits: &'a mut [f32],
    loss: &'a mut [f32],
}

impl Vectorised for TaughtRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.logits.chunks_exact(self.classes).zip(self.teacher.chunks_exact(self.classes));
        let written = self.dlogits.chunks_exact_mut(self.classes).zip(self.loss);
        for ((logits, teacher), (dlogits, loss)) in rows.zip(written) {
            let largest = |row: &[f32]| {
                let vectors = row.chunks(LANES).map(|part| filled(s, part, row[0]));
                s.largest(vectors.fold(s.splat(row[0]), |a, b| s.max(a, b)))
            };
            let (most, most_taught) = (largest(logits), largest(teacher));
            let (mut sum, mut sum_taught, mut gap) = (s.splat(0.0), s.splat(0.0), s.splat(0.0));
            for (z, t) in logits.chunks(LANES).zip(teacher.chunks(LANES)) {
                let ((e, z), (e_taught, t)) = (exponentials(s, z, most), exponentials(s, t, most_taught));
                sum = s.add(sum, e);
                sum_taught = s.add(sum_taught, e_taught);
                gap = s.fma(e_taught, s.sub(t, z), gap);
            }
            let (sum, sum_taught) = (s.sum(sum), s.sum(sum_taught));
            *loss += self.weight * (s.sum(gap) / sum_taught + (sum.ln() - sum_taught.ln()));
            let scale = s.splat(self.gradient_weight / sum);
            let scale_taught = s.splat(self.gradient_weight / sum_taught);
            let taught = logits.chunks(LANES).zip(teacher.chunks(LANES));
            for ((z, t), gradient) in taught.zip(dlogits.chunks_mut(LANES)) {
                let ((e, _), (e_taught, _)) = (exponentials(s, z, most), exponentials(s, t, most_taught));
                let pull = s.sub(s.mul(e, scale), s.mul(e_taught, scale_taught));
                s.store_partial(gradient, s.add(s.load_partial(gradient), pull));
            }
        }
    }
}

fn distillation(kernel: &Distillation, cpu: &Cpu, args: &mut Args) {
    let ([logits, teacher, dlogits, loss], _) = args.split();
    let (logits, teacher) = (logits.f32(), teacher.f32());
    let Distillation { rows, classes, weight } = *kernel;
    let (dlogits, loss) = (Parts::new(dlogits.f32_mut()), Parts::new(loss.f32_mut()));
    let (weight, gradient_weight) = (weight as f32, (weight / rows as f64) as f32);
    cpu.over_rows(rows, classes, |part| {
        let all = part.start * classes..part.end * classes;
        // SAFETY: every row belongs to one task.
        let (dlogits, loss) = unsafe { (dlogits.part(all.clone()), loss.part(part)) };
        let (logits, teacher) = (&logits[all.clone()], &teacher[all]);
        cpu.isa.run(TaughtRows { classes, weight, gradient_weight, logits, teacher, dlogits, loss });
    });
}
