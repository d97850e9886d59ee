//! The gradients of batch normalisation on the CPU: channels in vector lanes, chunks of rows as tasks.

use super::BatchNormBackward;
use crate::reduce::columns::{ColumnWork, Columns, Output, Rows, load};
use crate::simd::Simd;
use crate::{Arg, Args, Cpu};
use std::ops::Range;

/// dy, which is written if anything but itself flows on.
enum Dy<'a> {
    Kept(Rows<'a>),
    InPlace(Output<'a>),
}

impl Dy<'_> {
    #[inline(always)]
    fn load<S: Simd, const N: usize>(&self, s: S, row: usize, columns: &Range<usize>) -> [S::V; N] {
        match self {
            Dy::Kept(dy) => dy.load::<S, N>(s, row, columns),
            Dy::InPlace(dy) => dy.load::<S, N>(s, row, columns),
        }
    }
    #[inline(always)]
    fn store<S: Simd, const N: usize>(&self, s: S, row: usize, columns: &Range<usize>, values: [S::V; N]) {
        if let Dy::InPlace(dy) = self {
            dy.store::<S, N>(s, row, columns, values);
        }
    }
}

/// What the sums and dx are made of.
struct Gradient<'a> {
    x: Rows<'a>,
    /// The gate of the ReLU, if there is one.
    y: Option<Rows<'a>>,
    dy: Dy<'a>,
    /// Where dx goes if dy becomes dz.
    dx: Option<Output<'a>>,
    mean: &'a [f32],
    inverse: &'a [f32],
}

impl Gradient<'_> {
    #[inline(always)]
    fn dz<S: Simd, const N: usize>(&self, s: S, row: usize, columns: &Range<usize>) -> [S::V; N] {
        let mut dz = self.dy.load::<S, N>(s, row, columns);
        if let Some(y) = self.y {
            let y = y.load::<S, N>(s, row, columns);
            for i in 0..N {
                dz[i] = s.keep_positive(dz[i], y[i]);
            }
        }
        dz
    }
    /// `Σ dz` and `Σ dz xhat`; dz takes the place of dy if dx does not.
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
            let dz = self.dz::<S, N>(s, row, columns);
            if self.dx.is_some() {
                self.dy.store::<S, N>(s, row, columns, dz);
            }
            let x = self.x.load::<S, N>(s, row, columns);
            for i in 0..N {
                sums[i] = s.add(sums[i], dz[i]);
                products[i] = s.fma(dz[i], s.sub(x[i], mean[i]), products[i]);
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
            // With a residual dz lies in dy already.
            let mut dx = match &self.of.dx {
                None => self.of.dz::<S, N>(s, row, columns),
                Some(_) => self.of.dy.load::<S, N>(s, row, columns),
            };
            let x = self.of.x.load::<S, N>(s, row, columns);
            for i in 0..N {
                let along = s.fma(s.sub(x[i], mean[i]), slope[i], shift[i]);
                dx[i] = s.mul(scale[i], s.sub(dx[i], along));
            }
            match &self.of.dx {
                None => self.of.dy.store::<S, N>(s, row, columns, dx),
                Some(apart) => apart.store::<S, N>(s, row, columns, dx),
            }
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
    match (kernel.relu, kernel.residual) {
        (false, false) => {
            let ([x, weight, saved, dy, dweight, dbias], scratch) = args.split();
            run(kernel, cpu, Buffers { x, y: None, weight, saved, dy, dx: None, dweight, dbias }, scratch);
        }
        (true, false) => {
            let ([x, y, weight, saved, dy, dweight, dbias], scratch) = args.split();
            run(kernel, cpu, Buffers { x, y: Some(y), weight, saved, dy, dx: None, dweight, dbias }, scratch);
        }
        (false, true) => {
            let ([x, weight, saved, dy, dx, dweight, dbias], scratch) = args.split();
            run(
                kernel,
                cpu,
                Buffers { x, y: None, weight, saved, dy, dx: Some(dx), dweight, dbias },
                scratch,
            );
        }
        (true, true) => {
            let ([x, y, weight, saved, dy, dx, dweight, dbias], scratch) = args.split();
            let buffers = Buffers { x, y: Some(y), weight, saved, dy, dx: Some(dx), dweight, dbias };
            run(kernel, cpu, buffers, scratch);
        }
    }
}

struct Buffers<'a, 'b> {
    x: &'a Arg<'b>,
    y: Option<&'a mut Arg<'b>>,
    weight: &'a Arg<'b>,
    saved: &'a Arg<'b>,
    dy: &'a mut Arg<'b>,
    dx: Option<&'a mut Arg<'b>>,
    dweight: &'a mut Arg<'b>,
    dbias: &'a mut Arg<'b>,
}

fn run(kernel: &BatchNormBackward, cpu: &Cpu, buffers: Buffers, scratch: &mut [u32]) {
    let channels = kernel.channels;
    let cut = Columns::new(kernel.rows, channels);
    let Buffers { x, y, weight, saved, dy, dx, dweight, dbias } = buffers;
    let (mean, inverse) = saved.f32().split_at(channels);
    let of = Gradient {
        x: Rows::new(x.f32(), channels),
        y: y.map(|y| Rows::new(y.f32(), channels)),
        dy: match kernel.writes_dy() {
            true => Dy::InPlace(Output::new(dy.f32_mut(), channels)),
            false => Dy::Kept(Rows::new(dy.f32(), channels)),
        },
        dx: dx.map(|dx| Output::new(dx.f32_mut(), channels)),
        mean,
        inverse,
    };
    let (dweight, dbias) = (dweight.f32_mut(), dbias.f32_mut());
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
    let input = InputGradient { of, weight: weight.f32(), rows: kernel.rows as f32 };
    if cut.whole() {
        let (dweight, dbias) = (Output::new(dweight, channels), Output::new(dbias, channels));
        cut.run(cpu, &WholeBackward { input, dweight, dbias });
    } else {
        cut.run(cpu, &ApplyBackward { input, dweight, dbias });
    }
}
