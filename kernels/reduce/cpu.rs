//! Column sums on the CPU: columns in vector lanes, chunks of rows as tasks, partial sums merged in order.

use super::ColumnSum;
use super::columns::{ColumnWork, Columns, load, store};
use crate::simd::Simd;
use crate::threads::Parts;
use crate::{Args, Cpu};
use std::ops::Range;

struct Sum<'a> {
    x: &'a [f32],
    columns: usize,
    /// `[chunks, columns]`.
    sums: Parts<'a, f32>,
}

impl ColumnWork for Sum<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let mut sums = [s.splat(0.0); N];
        for row in rows {
            let at = row * self.columns;
            let values = load::<S, N>(s, &self.x[at + columns.start..at + columns.end]);
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = s.add(*sum, value);
            }
        }
        let at = chunk * self.columns;
        // SAFETY: every chunk and block of columns is one task's own.
        let to = unsafe { self.sums.part(at + columns.start..at + columns.end) };
        store::<S, N>(s, to, sums);
    }
}

pub(super) fn column_sum(kernel: &ColumnSum, cpu: &Cpu, args: &mut Args) {
    let ([x, sum], scratch) = args.split();
    let (x, sum) = (x.f32(), sum.f32_mut());
    let cut = Columns::new(kernel.rows, kernel.columns);
    let columns = kernel.columns;
    if cut.whole() {
        cut.run(cpu, &Sum { x, columns, sums: Parts::new(sum) });
        return;
    }
    let partials: &mut [f32] = bytemuck::cast_slice_mut(scratch);
    cut.run(cpu, &Sum { x, columns, sums: Parts::new(partials) });
    // At most 1,024 chunks: one task per block of columns.
    let merge = Columns::new(cut.chunks, columns);
    merge.run(cpu, &Sum { x: partials, columns, sums: Parts::new(sum) });
}
