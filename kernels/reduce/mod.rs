//! Sums over rows: the gradient of a bias.
//!
//! `sum[c] = Σ_r x[r, c]` with x `[rows, columns]` and sum `[columns]`. For `y = x W + b`, `db = column_sum(dy)`.
//!
//! Up to 1,024 rows one launch does it; beyond, fixed chunks of rows are summed into scratch memory and then merged in
//! a fixed order (`columns.rs` holds the cut, which batch normalisation shares), so results are bit-identical from run
//! to run. Rounding errors grow with the depth of the tree, not with the number of rows.

use crate::kernel::SCRATCH;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

mod cases;
pub(crate) mod columns;
mod cpu;

pub use cases::cases;
use columns::Columns;

/// `sum[c] = Σ_r x[r, c]`.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSum {
    /// Rows of x: all axes but the last, multiplied.
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
        let elements = (self.rows * self.columns) as u64;
        Cost { flops: elements, bytes: 4 * (elements + self.columns as u64) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let cut = Columns::new(self.rows, self.columns);
        // Sums `rows` of `from`, the first chunk into row `first` of `to`.
        let launch =
            |label: &'static str, (rows, chunk_rows, first): (usize, usize, usize), (from, to), grid| {
                Dispatch {
                    label: label.into(),
                    source: cut.source(&[include_str!("column_sum.wgsl")], &[]),
                    constants: vec![("WIDTH", cut.width().into())],
                    bindings: vec![(from, Access::Read), (to, Access::ReadWrite)],
                    immediates: vec![rows as u32, cut.units(), chunk_rows as u32, first as u32],
                    clock: false,
                    grid,
                    windows: Vec::new(),
                }
            };
        let [x, _, z] = cut.grid();
        if cut.whole() {
            return vec![launch("reduce/column_sum", (self.rows, self.rows, 0), (0, 1), [x, 1, z])];
        }
        let mut launches = cut.in_windows(&[0], gpu, |rows, chunks| {
            let grid = [x, chunks.len() as u32, z];
            let cut = (rows.len(), cut.chunk_rows, chunks.start);
            launch("reduce/column_sum chunks", cut, (0, SCRATCH), grid)
        });
        let merge = (cut.chunks, cut.chunks, 0);
        launches.push(launch("reduce/column_sum merge", merge, (SCRATCH, 1), [x, 1, z]));
        launches
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        self.partial_words()
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        self.partial_words()
    }
    fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::column_sum(self, cpu, args);
    }
}

impl ColumnSum {
    /// Scratch for the sums of the chunks, on either device.
    fn partial_words(&self) -> usize {
        let cut = Columns::new(self.rows, self.columns);
        if cut.whole() { 0 } else { cut.chunks * self.columns }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
