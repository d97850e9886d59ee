//! Sums over rows: the gradient of a bias, and how active units are.
//!
//! `sum[c] = Σ_r x[r, c]` with x `[rows, columns]` and sum `[columns]`. For `y = x W + b`, `db = column_sum(dy)`.
//! [`ActivitySum`] adds magnitudes, or counts what is not 0.
//!
//! Up to 1,024 rows one launch does it; beyond, fixed chunks of rows are summed into scratch memory and then merged in
//! a fixed order (`columns.rs` holds the cut, which batch normalisation shares), so results are bit-identical from run
//! to run. Rounding errors grow with the depth of the tree, not with the number of rows.

use crate::kernel::SCRATCH;
use crate::size::words;
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

/// What [`ActivitySum`] adds for each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// `|x|`.
    Magnitude,
    /// 1 where x is not 0.
    NonZero,
}

/// `sum[c] += Σ_r |x[r, c]|`, or the number of rows in which `x[r, c]` is not 0.
///
/// It adds to what is there, so that several batches make one sum. Up to 2^24 rows in all are counted exactly.
#[derive(Clone, Copy, Debug)]
pub struct ActivitySum {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// Columns, the last axis: the units.
    pub columns: usize,
    /// What is added.
    pub of: Activity,
}

impl Kernel for ColumnSum {
    fn name(&self) -> &'static str {
        "reduce/column_sum"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.columns)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", words([self.rows, self.columns])), Binding::write("sum", self.columns)]
    }
    fn cost(&self) -> Cost {
        let elements = (self.rows * self.columns) as u64;
        Cost { flops: elements, bytes: 4 * (elements + self.columns as u64) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        self.sums()
            .dispatches(gpu, ["reduce/column_sum", "reduce/column_sum chunks", "reduce/column_sum merge"])
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        self.sums().partial_words()
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        self.sums().partial_words()
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::sums(&self.sums(), cpu, args);
    }
}

impl Kernel for ActivitySum {
    fn name(&self) -> &'static str {
        "reduce/activity_sum"
    }
    fn shape(&self) -> String {
        let of = match self.of {
            Activity::Magnitude => "magnitude",
            Activity::NonZero => "not zero",
        };
        format!("{}x{} {of}", self.rows, self.columns)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", words([self.rows, self.columns])), Binding::read_write("sum", self.columns)]
    }
    fn cost(&self) -> Cost {
        let elements = (self.rows * self.columns) as u64;
        Cost { flops: 2 * elements, bytes: 4 * (elements + 2 * self.columns as u64) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let labels = ["reduce/activity_sum", "reduce/activity_sum chunks", "reduce/activity_sum merge"];
        self.sums().dispatches(gpu, labels)
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        self.sums().partial_words()
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        self.sums().partial_words()
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::sums(&self.sums(), cpu, args);
    }
}

/// What is added for each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    Value,
    Magnitude,
    NonZero,
}

/// What both kernels are.
#[derive(Clone, Copy, Debug)]
struct Sums {
    rows: usize,
    columns: usize,
    term: Term,
    /// Whether the sums are added to what is there.
    add: bool,
}

impl ColumnSum {
    fn sums(&self) -> Sums {
        Sums { rows: self.rows, columns: self.columns, term: Term::Value, add: false }
    }
}

impl ActivitySum {
    fn sums(&self) -> Sums {
        let term = match self.of {
            Activity::Magnitude => Term::Magnitude,
            Activity::NonZero => Term::NonZero,
        };
        Sums { rows: self.rows, columns: self.columns, term, add: true }
    }
}

impl Sums {
    fn cut(&self) -> Columns {
        Columns::new(self.rows, self.columns)
    }

    /// Scratch for the sums of the chunks, on either device.
    fn partial_words(&self) -> usize {
        let cut = self.cut();
        if cut.whole() { 0 } else { cut.chunks * self.columns }
    }

    /// The labels are those of the sum in one launch, of the chunks, and of their merge.
    fn dispatches(&self, gpu: &GpuTraits, labels: [&'static str; 3]) -> Vec<Dispatch> {
        let cut = self.cut();
        // Sums `rows` of `from`, the first chunk into row `first` of `to`.
        let launch = |label: &'static str,
                      (term, add): (Term, bool),
                      (rows, chunk_rows, first): (usize, usize, usize),
                      (from, to),
                      grid| Dispatch {
            label: label.into(),
            source: cut.source(
                &[include_str!("column_sum.wgsl")],
                &[
                    ("NON_ZERO", &(term == Term::NonZero)),
                    ("MAGNITUDE", &(term == Term::Magnitude)),
                    ("ADD", &add),
                ],
            ),
            constants: vec![("WIDTH", cut.width().into())],
            bindings: vec![(from, Access::Read), (to, Access::ReadWrite)],
            immediates: vec![rows as u32, cut.units(), chunk_rows as u32, first as u32],
            clock: false,
            grid,
            windows: Vec::new(),
        };
        let [x, _, z] = cut.grid();
        let [whole, chunk, merge] = labels;
        if cut.whole() {
            let all = (self.rows, self.rows, 0);
            return vec![launch(whole, (self.term, self.add), all, (0, 1), [x, 1, z])];
        }
        let mut launches = cut.in_windows(&[0], gpu, |rows, chunks| {
            let grid = [x, chunks.len() as u32, z];
            let cut = (rows.len(), cut.chunk_rows, chunks.start);
            launch(chunk, (self.term, false), cut, (0, SCRATCH), grid)
        });
        let all = (cut.chunks, cut.chunks, 0);
        launches.push(launch(merge, (Term::Value, self.add), all, (SCRATCH, 1), [x, 1, z]));
        launches
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
