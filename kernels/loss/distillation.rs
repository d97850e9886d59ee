//! The divergence of a student from a teacher.

use super::{GRID, THREAD_CLASSES, cpu};
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
        let all = self.rows * self.classes;
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
    fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::distillation(self, cpu, args);
    }
}
