//! The gradients of batch normalisation on the CPU: channels in vector lanes, chunks of rows as tasks.

use super::BatchNormBackward;
use crate::reduce::columns::{ColumnWork, Columns, Output, Rows, load};
use crate::simd::Simd;
use crate::{Args, Cpu};
use std::ops::Range;

/// dy behind the ReLU, and x - mean.
struct Gradient<'a> {
    relu: bool,
    x: Rows<'a>,
    y: Rows<'a>,
    dy: Rows<'a>,
    mean: &'a [f32],
    inverse: &'a [f32],
}

impl Gradient<'_> {
    #[inline(always)]
    fn dy<S: Simd, const N: usize>(&self, s: S, row: usize, columns: &Range<usize>) -> [S::V; N] {
        let mut dy = self.dy.load::<S, N>(s, row, columns);
        if self.relu {
            let y = self.y.load::<S, N>(s, row, columns);
            for i in 0..N {
                dy[i] = s.keep_positive(dy[i], y[i]);
            }
        }
        dy
    }
    /// `Σ dy` and `Σ dy xhat`.
    #[inline(always)]
    fn sums<S: Simd, const N: usize>(
        &self,
        s: S,
        rows: Range<usize>,
        columns: &Range<usize>,
    ) -> ([S::V; N], [S::V; N]) {
        let mean = load::<S, N>(s, &self.mean[columns.clone()]);
        let inverse = load::<S, N>(s, &self.inverse[columns.clone()]);
        let (mut sums, mut products) = ([s.splat(0.0); N], [s.splat(0.0); N]);
        for row in rows {
            let dy = self.dy::<S, N>(s, row, columns);
            let x = self.x.load::<S, N>(s, row, columns);
            for i in 0..N {
                sums[i] = s.add(sums[i], dy[i]);
                products[i] = s.fma(dy[i], s.sub(x[i], mean[i]), products[i]);
            }
        }
        for i in 0..N {
            products[i] = s.mul(products[i], inverse[i]);
        }
        (sums, products)
    }
}

/// dx once the sums over all rows are known.
struct InputGradient<'a> {
    of: Gradient<'a>,
    weight: &'a [f32],
    rows: f32,
    dx: Output<'a>,
}

impl InputGradient<'_> {
    #[inline(always)]
    fn rows<S: Simd, const N: usize>(
        &self,
        s: S,
        rows: Range<usize>,
        columns: &Range<usize>,
        dbias: [S::V; N],
        dweight: [S::V; N],
    ) {
        let mean = load::<S, N>(s, &self.of.mean[columns.clone()]);
        let inverse = load::<S, N>(s, &self.of.inverse[columns.clone()]);
        let weight = load::<S, N>(s, &self.weight[columns.clone()]);
        let (mut scale, mut slope, mut shift) = (weight, weight, weight);
        for i in 0..N {
            scale[i] = s.mul(weight[i], inverse[i]);
            slope[i] = s.div(s.mul(dweight[i], inverse[i]), s.splat(self.rows));
            shift[i] = s.div(dbias[i], s.splat(self.rows));
        }
        for row in rows {
            let mut dx = self.of.dy::<S, N>(s, row, columns);
            let x = self.of.x.load::<S, N>(s, row, columns);
            for i in 0..N {
                let along = s.fma(s.sub(x[i], mean[i]), slope[i], shift[i]);
                dx[i] = s.mul(scale[i], s.sub(dx[i], along));
            }
            self.dx.store::<S, N>(s, row, columns, dx);
        }
    }
}

/// All rows at once.
struct WholeBackward<'a> {
    input: InputGradient<'a>,
    dweight: Output<'a>,
    dbias: Output<'a>,
}

impl ColumnWork for WholeBackward<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, _chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let (dbias, dweight) = self.input.of.sums::<S, N>(s, rows.clone(), &columns);
        self.dbias.store::<S, N>(s, 0, &columns, dbias);
        self.dweight.store::<S, N>(s, 0, &columns, dweight);
        self.input.rows::<S, N>(s, rows, &columns, dbias, dweight);
    }
}

/// The sums of each chunk, to `[chunks, 2, C]`.
struct ChunksBackward<'a> {
    of: &'a Gradient<'a>,
    partials: Output<'a>,
}

impl ColumnWork for ChunksBackward<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let (sums, products) = self.of.sums::<S, N>(s, rows, &columns);
        self.partials.store::<S, N>(s, 2 * chunk, &columns, sums);
        self.partials.store::<S, N>(s, 2 * chunk + 1, &columns, products);
    }
}

struct ApplyBackward<'a> {
    input: InputGradient<'a>,
    dweight: &'a [f32],
    dbias: &'a [f32],
}

impl ColumnWork for ApplyBackward<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, _chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let dbias = load::<S, N>(s, &self.dbias[columns.clone()]);
        let dweight = load::<S, N>(s, &self.dweight[columns.clone()]);
        self.input.rows::<S, N>(s, rows, &columns, dbias, dweight);
    }
}

pub(super) fn backward(kernel: &BatchNormBackward, cpu: &Cpu, args: &mut Args) {
    let ([x, y, weight, saved, dy, dx, dweight, dbias], scratch) = args.split();
    let channels = kernel.channels;
    let cut = Columns::new(kernel.rows, channels);
    let rows = |data| Rows::new(data, channels);
    let (mean, inverse) = saved.f32().split_at(channels);
    let of =
        Gradient { relu: kernel.relu, x: rows(x.f32()), y: rows(y.f32()), dy: rows(dy.f32()), mean, inverse };
    let (dx, dweight, dbias) = (dx.f32_mut(), dweight.f32_mut(), dbias.f32_mut());
    if !cut.whole() {
        let partials: &mut [f32] = bytemuck::cast_slice_mut(scratch);
        cut.run(cpu, &ChunksBackward { of: &of, partials: Output::new(partials, channels) });
        for channel in 0..channels {
            let (mut sum, mut product) = (0.0, 0.0);
            for chunk in partials.chunks_exact(2 * channels) {
                sum += f64::from(chunk[channel]);
                product += f64::from(chunk[channels + channel]);
            }
            dbias[channel] = sum as f32;
            dweight[channel] = product as f32;
        }
    }
    let dx = Output::new(dx, channels);
    let input = InputGradient { of, weight: weight.f32(), rows: kernel.rows as f32, dx };
    if cut.whole() {
        let (dweight, dbias) = (Output::new(dweight, channels), Output::new(dbias, channels));
        cut.run(cpu, &WholeBackward { input, dweight, dbias });
    } else {
        cut.run(cpu, &ApplyBackward { input, dweight, dbias });
    }
}
