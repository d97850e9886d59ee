//! (being written: names and bindings are final)

use crate::{Args, Binding, Case, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Softmax cross-entropy and its gradient.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// Examples.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
}

impl Kernel for CrossEntropy {
    fn name(&self) -> &'static str {
        "loss/cross_entropy"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.classes)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("logits", self.rows * self.classes),
            Binding::read("labels", self.rows),
            Binding::write("dlogits", self.rows * self.classes),
            Binding::write("row_loss", self.rows),
            Binding::write("row_rank", self.rows),
        ]
    }
    fn cost(&self) -> Cost {
        Cost::default()
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        Vec::new()
    }
    fn run(&self, _cpu: &Cpu, _clock: &Clock, _args: &mut Args) {}
}

/// Writes the loss and the accuracy of a batch into the metrics ring.
#[derive(Clone, Copy, Debug)]
pub struct RecordLoss {
    /// Examples.
    pub rows: usize,
    /// Rows of the ring.
    pub ring_rows: usize,
    /// Words per row of the ring.
    pub words: usize,
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
            Binding::read("row_rank", self.rows),
            Binding::read_write("ring", self.ring_rows * self.words),
        ]
    }
    fn cost(&self) -> Cost {
        Cost::default()
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        Vec::new()
    }
    fn run(&self, _cpu: &Cpu, _clock: &Clock, _args: &mut Args) {}
}

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    Vec::new()
}
