//! (being written: names and bindings are final)

use crate::{Args, Binding, Case, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Sum over the rows.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSum {
    /// Rows.
    pub rows: usize,
    /// Columns, the last axis.
    pub columns: usize,
}

impl Kernel for ColumnSum {
    fn name(&self) -> &'static str {
        "reduce/column_sum"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.columns)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", self.rows * self.columns), Binding::write("sum", self.columns)]
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
