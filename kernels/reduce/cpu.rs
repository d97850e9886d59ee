//! Column sums on the CPU: columns in vector lanes, chunks of rows as tasks, partial sums merged in order.

use super::ColumnSum;
use super::columns::{ColumnWork, Columns, Output, Rows};
use crate::simd::Simd;
use crate::{Args, Cpu};
use std::ops::Range;

struct Sum<'a> {
    x: Rows<'a>,
    /// `[chunks, columns]`.
    sums: Output<'a>,
}

impl ColumnWork for Sum<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let mut sums = [s.splat(0.0); N];
        for row in rows {
            let values = self.x.load::<S, N>(s, row, &columns);
            for i in 0..N {
                sums[i] = s.add(sums[i], values[i]);
            }
        }
        self.sums.store::<S, N>(s, chunk, &columns, sums);
    }
}

pub(super) fn column_sum(kernel: &ColumnSum, cpu: &Cpu, args: &mut Args) {
    let ([x, sum], scratch) = args.split();
    let cut = Columns::new(kernel.rows, kernel.columns);
    let columns = kernel.columns;
    let (x, sum) = (Rows::new(x.f32(), columns), sum.f32_mut());
    if cut.whole() {
        cut.run(cpu, &Sum { x, sums: Output::new(sum, columns) });
        return;
    }
    let partials: &mut [f32] = bytemuck::cast_slice_mut(scratch);
    cut.run(cpu, &Sum { x, sums: Output::new(partials, columns) });
    // At most 1,024 chunks: one task per block of columns.
    let merge = Columns::new(cut.chunks, columns);
    merge.run(cpu, &Sum { x: Rows::new(partials, columns), sums: Output::new(sum, columns) });
}
