//! Column sums on the CPU: columns in vector lanes, chunks of rows as tasks, partial sums merged in order.

use super::columns::{ColumnWork, Columns, Output, Rows};
use super::{Sums, Term};
use crate::simd::Simd;
use crate::{Args, Cpu};
use std::ops::Range;

struct Sum<'a> {
    x: Rows<'a>,
    term: Term,
    /// `[chunks, columns]`.
    sums: Output<'a>,
    /// Whether the sums are added to what is there.
    add: bool,
}

impl Sum<'_> {
    /// The loop over the rows, once for each term.
    #[inline(always)]
    fn rows<S: Simd, const N: usize>(
        &self,
        s: S,
        rows: Range<usize>,
        columns: &Range<usize>,
        term: impl Fn(S::V) -> S::V,
    ) -> [S::V; N] {
        let mut sums = [s.splat(0.0); N];
        for row in rows {
            let values = self.x.load::<S, N>(s, row, columns);
            for i in 0..N {
                sums[i] = s.add(sums[i], term(values[i]));
            }
        }
        sums
    }
}

impl ColumnWork for Sum<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        let magnitude = |v| s.max(v, s.sub(zero, v));
        let mut sums = match self.term {
            Term::Value => self.rows::<S, N>(s, rows, &columns, |v| v),
            Term::Magnitude => self.rows::<S, N>(s, rows, &columns, magnitude),
            Term::NonZero => self.rows::<S, N>(s, rows, &columns, |v| s.keep_positive(one, magnitude(v))),
        };
        if self.add {
            let old = self.sums.load::<S, N>(s, chunk, &columns);
            for i in 0..N {
                sums[i] = s.add(old[i], sums[i]);
            }
        }
        self.sums.store::<S, N>(s, chunk, &columns, sums);
    }
}

pub(super) fn sums(kernel: &Sums, cpu: &Cpu, args: &mut Args) {
    let ([x, sum], scratch) = args.split();
    let &Sums { columns, term, add, .. } = kernel;
    let cut = kernel.cut();
    let (x, sum) = (Rows::new(x.f32(), columns), sum.f32_mut());
    if kernel.whole() {
        cut.run(cpu, &Sum { x, term, sums: Output::new(sum, columns), add });
        return;
    }
    let partials: &mut [f32] = bytemuck::cast_slice_mut(scratch);
    cut.run(cpu, &Sum { x, term, sums: Output::new(partials, columns), add: false });
    // At most 1,024 chunks: one task per block of columns.
    let merge = Columns::new(cut.chunks, columns);
    let x = Rows::new(partials, columns);
    merge.run(cpu, &Sum { x, term: Term::Value, sums: Output::new(sum, columns), add });
}
