//! The gradients of batch normalisation on the CPU: channels in vector lanes, chunks of rows as tasks.

use super::cpu_cut::Cut;
use crate::reduce::columns::{ColumnWork, Output, Rows, load};
use crate::simd::{Simd, Vectorised};
use crate::{Arg, Cpu};
use std::ops::Range;

/// dy, which is written if anything but itself flows on.
pub(super) enum Dy<'a> {
    Kept(Rows<'a>),
    InPlace(Output<'a>),
}

impl Dy<'_> {
    #[inline(always)]
    pub(super) fn load<S: Simd, const N: usize>(
        &self,
        s: S,
        row: usize,
        columns: &Range<usize>,
    ) -> [S::V; N] {
        match self {
            Dy::Kept(dy) => dy.load::<S, N>(s, row, columns),
            Dy::InPlace(dy) => dy.load::<S, N>(s, row, columns),
        }
    }
    #[inline(always)]
    pub(super) fn store<S: Simd, const N: usize>(
        &self,
        s: S,
        row: usize,
        columns: &Range<usize>,
        values: [S::V; N],
    ) {
        if let Dy::InPlace(dy) = self {
            dy.store::<S, N>(s, row, columns, values);
        }
    }
}

/// What the sums and dx are made of, over folded rows or the rest.
struct Gradient<'a> {
    x: Rows<'a>,
    /// The gate of the ReLU, if there is one.
    y: Option<Rows<'a>>,
    dy: Dy<'a>,
    /// Where dx goes if dy becomes dz.
    dx: Option<Output<'a>>,
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
    /// `Σ dz` and `Σ dz (x - mean)`; dz takes the place of dy if dx does not.
    #[inline(always)]
    fn sums<S: Simd, const N: usize>(
        &self,
        s: S,
        rows: Range<usize>,
        columns: &Range<usize>,
        mean: [S::V; N],
    ) -> ([S::V; N], [S::V; N]) {
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
        (sums, products)
    }
    /// `dx = scale (dz - (x - mean) slope - shift)`.
    #[inline(always)]
    fn apply<S: Simd, const N: usize>(
        &self,
        s: S,
        rows: Range<usize>,
        columns: &Range<usize>,
        [mean, scale, slope, shift]: [[S::V; N]; 4],
    ) {
        for row in rows {
            // With a residual dz lies in dy already.
            let mut dx = match self.dx {
                None => self.dz::<S, N>(s, row, columns),
                Some(_) => self.dy.load::<S, N>(s, row, columns),
            };
            let x = self.x.load::<S, N>(s, row, columns);
            for i in 0..N {
                let along = s.fma(s.sub(x[i], mean[i]), slope[i], shift[i]);
                dx[i] = s.mul(scale[i], s.sub(dx[i], along));
            }
            match &self.dx {
                None => self.dy.store::<S, N>(s, row, columns, dx),
                Some(apart) => apart.store::<S, N>(s, row, columns, dx),
            }
        }
    }
}

/// Few rows at once.
struct Whole<'a> {
    of: Gradient<'a>,
    weight: &'a [f32],
    mean: &'a [f32],
    inverse: &'a [f32],
    dweight: Output<'a>,
    dbias: Output<'a>,
}

impl ColumnWork for Whole<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, _chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let count = s.splat(rows.len() as f32);
        let mean = load::<S, N>(s, &self.mean[columns.clone()]);
        let inverse = load::<S, N>(s, &self.inverse[columns.clone()]);
        let weight = load::<S, N>(s, &self.weight[columns.clone()]);
        let (dbias, products) = self.of.sums::<S, N>(s, rows.clone(), &columns, mean);
        let (mut dweight, mut scale, mut slope, mut shift) = (products, weight, weight, weight);
        for i in 0..N {
            dweight[i] = s.mul(products[i], inverse[i]);
            scale[i] = s.mul(weight[i], inverse[i]);
            slope[i] = s.div(s.mul(dweight[i], inverse[i]), count);
            shift[i] = s.div(dbias[i], count);
        }
        self.dbias.store::<S, N>(s, 0, &columns, dbias);
        self.dweight.store::<S, N>(s, 0, &columns, dweight);
        self.of.apply::<S, N>(s, rows, &columns, [mean, scale, slope, shift]);
    }
}

/// The sums of each chunk, to `[chunks, 2, columns]`.
struct Chunks<'a, 'b> {
    of: &'b Gradient<'a>,
    mean: &'b [f32],
    partials: Output<'b>,
}

impl ColumnWork for Chunks<'_, '_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let mean = load::<S, N>(s, &self.mean[columns.clone()]);
        let (sums, products) = self.of.sums::<S, N>(s, rows, &columns, mean);
        self.partials.store::<S, N>(s, 2 * chunk, &columns, sums);
        self.partials.store::<S, N>(s, 2 * chunk + 1, &columns, products);
    }
}

/// dx from mean, scale, slope and shift, each as long as a folded row.
struct Apply<'a, 'b> {
    of: &'b Gradient<'a>,
    parameters: [&'b [f32]; 4],
}

impl ColumnWork for Apply<'_, '_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, _chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let parameters = self.parameters.map(|values| load::<S, N>(s, &values[columns.clone()]));
        self.of.apply::<S, N>(s, rows, &columns, parameters);
    }
}

/// Adds up the chunks in f64.
struct Merge<'a> {
    cut: &'a Cut,
    partials: &'a [f32],
    inverse: &'a [f32],
    dweight: &'a mut [f32],
    dbias: &'a mut [f32],
}

impl Vectorised for Merge<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        /// Channels merged together, so that neighbours in memory are read together.
        const BLOCK: usize = 64;
        let channels = self.inverse.len();
        for start in (0..channels).step_by(BLOCK) {
            let block = start..(start + BLOCK).min(channels);
            let (mut sum, mut product) = ([0.0f64; BLOCK], [0.0f64; BLOCK]);
            for (_, sums, products) in self.cut.parts(self.partials) {
                let parts = sums[block.clone()].iter().zip(&products[block.clone()]);
                for ((sum, product), (&s, &p)) in sum.iter_mut().zip(&mut product).zip(parts) {
                    *sum += f64::from(s);
                    *product += f64::from(p);
                }
            }
            for (i, channel) in block.enumerate() {
                self.dbias[channel] = sum[i] as f32;
                self.dweight[channel] = (product[i] * f64::from(self.inverse[channel])) as f32;
            }
        }
    }
}

/// Words of scratch memory for `[rows, channels]`.
pub(super) fn scratch(rows: usize, channels: usize) -> usize {
    let cut = Cut::new(rows, channels);
    if cut.whole().is_some() { 0 } else { cut.partial_words() + 4 * cut.width() }
}

/// The buffers of the gradients.
pub(super) struct Buffers<'a, 'b> {
    pub(super) x: &'a Arg<'b>,
    /// The gate of the ReLU, if there is one.
    pub(super) y: Option<&'a Arg<'b>>,
    pub(super) weight: &'a Arg<'b>,
    pub(super) saved: &'a Arg<'b>,
    pub(super) dy: &'a mut Arg<'b>,
    /// Where dx goes if dy becomes dz.
    pub(super) dx: Option<&'a mut Arg<'b>>,
    pub(super) dweight: &'a mut Arg<'b>,
    pub(super) dbias: &'a mut Arg<'b>,
}

impl<'a, 'b> Buffers<'a, 'b> {
    /// From all buffers in the order in which they are declared.
    pub(super) fn new(mut all: std::slice::IterMut<'a, Arg<'b>>, relu: bool, residual: bool) -> Self {
        let mut next = || all.next().expect("as many as declared");
        Self {
            x: next(),
            y: relu.then(|| &*next()),
            weight: next(),
            saved: next(),
            dy: next(),
            dx: residual.then(&mut next),
            dweight: next(),
            dbias: next(),
        }
    }
}

/// The gradients of `[rows, channels]`.
pub(super) fn backward(cpu: &Cpu, rows: usize, channels: usize, buffers: Buffers, scratch: &mut [u32]) {
    let cut = Cut::new(rows, channels);
    let Buffers { x, y, weight, saved, dy, dx, dweight, dbias } = buffers;
    let weight = weight.f32();
    let (mean, inverse) = saved.f32().split_at(channels);
    let dy = match dy {
        Arg::Read(_) => cut.rows(dy.f32()).map(Dy::Kept),
        Arg::Write(_) => cut.output(dy.f32_mut()).map(Dy::InPlace),
    };
    let [x, x_rest] = cut.rows(x.f32());
    let [y, y_rest] = y.map_or([None; 2], |y| cut.rows(y.f32()).map(Some));
    let [dx, dx_rest] = dx.map_or([None, None], |dx| cut.output(dx.f32_mut()).map(Some));
    let [dy, dy_rest] = dy;
    let of = Gradient { x, y, dy, dx };
    let (dweight, dbias) = (dweight.f32_mut(), dbias.f32_mut());
    if let Some(whole) = cut.whole() {
        let [dweight, dbias] = [dweight, dbias].map(|data| Output::new(data, channels));
        whole.run(cpu, &Whole { of, weight, mean, inverse, dweight, dbias });
        return;
    }
    let of = [of, Gradient { x: x_rest, y: y_rest, dy: dy_rest, dx: dx_rest }];
    let (partials, parameters) = bytemuck::cast_slice_mut(scratch).split_at_mut(cut.partial_words());
    let [means] = cut.parameters(parameters, |channel| [mean[channel]]);
    let [wide, rest] = cut.partials(partials);
    let chunks = [(&of[0], wide), (&of[1], rest)].map(|(of, partials)| Chunks { of, mean: means, partials });
    cut.run(cpu, &chunks);
    cpu.isa.run(Merge { cut: &cut, partials, inverse, dweight, dbias });
    let count = rows as f32;
    let parameters = cut.parameters(parameters, |c| {
        [mean[c], weight[c] * inverse[c], dweight[c] * inverse[c] / count, dbias[c] / count]
    });
    cut.run(cpu, &of.each_ref().map(|of| Apply { of, parameters }));
}
