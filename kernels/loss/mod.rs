//! Softmax cross-entropy with its gradient, the divergence from a teacher, and the record of a batch's loss and accuracy.
//!
//! For logits z `[rows, classes]` and labels t `[rows]`, with the maximum m of a row subtracted so that nothing overflows:
//!
//! ```text
//! row_loss = log Σ_k exp(z_k - m) + m - z_t + c Σ_k z_k²
//! dlogits  = (softmax(z) - onehot(t) + 2 c z) / rows          the gradient of mean(row_loss)
//! row_rank = number of classes that beat t: a larger logit, or an equal one of smaller index
//! ```
//!
//! So a row is a top-1 hit if its rank is 0 and a top-5 hit if it is below 5, ties counted as `argmax` counts them. A row
//! that has no meaning (a NaN among the logits, an infinite maximum, a label that is no class) gets NaN as loss and
//! gradient, and rank `classes`, the worst.
//!
//! The term with c is spectral decoupling (Pezeshki and others, *Gradient Starvation*, 2021); c is 0 without it.
//!
//! With `rows = 0` nothing is defined. The loss of a batch is the mean over its rows, as in PyTorch.

use crate::kernel::CLOCK_WGSL;
use crate::size::words;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

mod cases;
mod cpu;
mod distillation;

pub use cases::cases;
pub use distillation::Distillation;

/// Softmax cross-entropy of each row, its gradient with respect to the logits, and the rank of the true class.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// Examples of the batch.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
    /// c, the coefficient of the squared logits.
    pub logit_penalty: f64,
}

/// Writes the loss and the accuracy of a batch into row `clock.slot` of the metrics ring `[ring_rows, words]`: word 0 is
/// the mean of row_loss, word 1 the number of rows of rank 0, word 2 the number of rows of rank below 5. The other words
/// of the row, and all other rows, stay as they are; a slot or a word outside the ring is not written.
#[derive(Clone, Copy, Debug)]
pub struct RecordLoss {
    /// Examples of the batch.
    pub rows: usize,
    /// Rows of the ring.
    pub ring_rows: usize,
    /// Words per row of the ring, at least 3.
    pub words: usize,
}

/// Up to this many classes one thread takes a whole row on the GPU.
const THREAD_CLASSES: usize = 32;
/// Most workgroups in one dimension of a grid.
const GRID: u32 = 65_535;

impl Kernel for CrossEntropy {
    fn name(&self) -> &'static str {
        "loss/cross_entropy"
    }
    fn shape(&self) -> String {
        match self.logit_penalty {
            0.0 => format!("{}x{}", self.rows, self.classes),
            c => format!("{}x{} penalty {c}", self.rows, self.classes),
        }
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.classes]);
        vec![
            Binding::read("logits", all),
            Binding::read("labels", self.rows).integers(),
            Binding::write("dlogits", all),
            Binding::write("row_loss", self.rows),
            Binding::write("row_rank", self.rows).integers(),
        ]
    }
    fn cost(&self) -> Cost {
        let (all, rows) = ((self.rows * self.classes) as u64, self.rows as u64);
        // Maximum, difference, exponential (counted as one), sum, rank, gradient.
        Cost { flops: 7 * all + 4 * rows, bytes: 4 * (2 * all + 3 * rows) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        let rows = self.rows as u32;
        let (label, source, groups) = if self.classes <= THREAD_CLASSES {
            (
                "loss/cross_entropy thread per row",
                include_str!("cross_entropy_thread.wgsl"),
                rows.div_ceil(64),
            )
        } else {
            ("loss/cross_entropy workgroup per row", include_str!("cross_entropy_workgroup.wgsl"), rows)
        };
        use Access::{Read, ReadWrite};
        vec![Dispatch {
            label: label.into(),
            source: source.into(),
            constants: Vec::new(),
            bindings: vec![(0, Read), (1, Read), (2, ReadWrite), (3, ReadWrite), (4, ReadWrite)],
            immediates: vec![
                rows,
                self.classes as u32,
                f32::NAN.to_bits(),
                (self.logit_penalty as f32).to_bits(),
            ],
            clock: false,
            grid: [groups.min(GRID), 1, 1],
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::cross_entropy(self, cpu, args);
    }
}

impl Kernel for RecordLoss {
    fn name(&self) -> &'static str {
        "loss/record"
    }
    fn shape(&self) -> String {
        format!("{} into {}x{}", self.rows, self.ring_rows, self.words)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("row_loss", self.rows),
            Binding::read("row_rank", self.rows).integers(),
            Binding::read_write("ring", words([self.ring_rows, self.words])),
        ]
    }
    fn cost(&self) -> Cost {
        Cost { flops: 3 * self.rows as u64, bytes: 4 * (2 * self.rows as u64 + 3) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        vec![Dispatch {
            label: "loss/record".into(),
            source: [CLOCK_WGSL, include_str!("record.wgsl")].concat().into(),
            constants: Vec::new(),
            bindings: vec![(0, Access::Read), (1, Access::Read), (2, Access::ReadWrite)],
            immediates: vec![self.rows as u32, self.ring_rows as u32, self.words as u32],
            clock: true,
            grid: [1, 1, 1],
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, _cpu: &Cpu, clock: &Clock, args: &mut Args) {
        cpu::record(self, clock, args);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(cases());
    }

    #[test]
    fn meaningless_rows_are_nan_and_never_hits() {
        let (classes, nan, infinite) = (3, f32::NAN, f32::INFINITY);
        // NaN at the label, NaN elsewhere, infinite maximum, nothing finite, a label that is no class, a good row.
        let logits = [
            [nan, 1.0, 2.0],
            [3.0, nan, 2.0],
            [infinite, 1.0, 2.0],
            [-infinite, -infinite, -infinite],
            [3.0, 1.0, 2.0],
            [3.0, 1.0, -infinite],
        ];
        let labels = [0, 0, 0, 0, 3, 0];
        let rows = labels.len();
        let logits: Vec<u32> = logits.as_flattened().iter().map(|v| v.to_bits()).collect();
        let (mut dlogits, mut loss, mut rank) = (vec![0u32; rows * classes], [0; 6], [0; 6]);
        for isa in crate::simd::Isa::supported() {
            let cpu = Cpu { isa, threads: crate::threads::Threads::new(1).unwrap() };
            let read = [&logits[..], &labels[..]].map(crate::Arg::Read);
            let write = [&mut dlogits[..], &mut loss, &mut rank].map(crate::Arg::Write);
            let kernel = CrossEntropy { rows, classes, logit_penalty: 0.0 };
            let args = read.into_iter().chain(write);
            crate::run(&kernel, &cpu, &Clock::default(), args, &mut []).unwrap();
            let finite: Vec<bool> = loss.iter().map(|&v| f32::from_bits(v).is_finite()).collect();
            assert_eq!(finite, [false, false, false, false, false, true], "{isa:?}");
            let finite: Vec<bool> = dlogits.iter().map(|&v| f32::from_bits(v).is_finite()).collect();
            assert!(
                finite[..15].iter().all(|v| !v) && finite[15..].iter().all(|v| *v),
                "{isa:?}: {finite:?}"
            );
            assert_eq!(rank, [3, 3, 3, 3, 3, 0], "{isa:?}");
        }
    }
}
