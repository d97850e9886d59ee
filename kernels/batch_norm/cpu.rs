//! Batch normalisation on the CPU: channels in vector lanes, chunks of rows as tasks (`cpu_cut.rs`).
//!
//! Statistics take two passes (mean, then squared distances) over a few rows that lie in the first cache, relative to the
//! first of them, and merge them in f32; chunks are merged in f64.

use super::cpu_cut::Cut;
use super::{BatchNormForward, BatchNormInference};
use crate::reduce::columns::{ColumnWork, Output, Rows, load};
use crate::simd::{Simd, Vectorised};
use crate::{Arg, Args, Cpu};
use std::ops::Range;

/// Rows that are read twice at once: 16 KiB of a tile.
const TWICE: usize = 32;

/// Mean, and sum of squared distances from it, of a block of columns over some rows.
#[inline(always)]
fn statistics<S: Simd, const N: usize>(
    s: S,
    x: Rows,
    rows: Range<usize>,
    columns: &Range<usize>,
) -> ([S::V; N], [S::V; N]) {
    let first = rows.start..rows.end.min(rows.start + TWICE);
    let (mut mean, mut squares) = few_rows::<S, N>(s, x, first.clone(), columns);
    let mut start = first.end;
    while start < rows.end {
        let few = start..rows.end.min(start + TWICE);
        let (done, count) = ((start - rows.start) as f32, few.len() as f32);
        let (share, weight) = (s.splat(count / (done + count)), s.splat(done * count / (done + count)));
        let (few_mean, few_squares) = few_rows::<S, N>(s, x, few.clone(), columns);
        for i in 0..N {
            let distance = s.sub(few_mean[i], mean[i]);
            mean[i] = s.fma(distance, share, mean[i]);
            squares[i] = s.fma(s.mul(distance, distance), weight, s.add(squares[i], few_squares[i]));
        }
        start = few.end;
    }
    (mean, squares)
}

#[inline(always)]
fn few_rows<S: Simd, const N: usize>(
    s: S,
    x: Rows,
    rows: Range<usize>,
    columns: &Range<usize>,
) -> ([S::V; N], [S::V; N]) {
    let pivot = x.load::<S, N>(s, rows.start, columns);
    let mut sums = [s.splat(0.0); N];
    for row in rows.clone() {
        let values = x.load::<S, N>(s, row, columns);
        for i in 0..N {
            sums[i] = s.add(sums[i], s.sub(values[i], pivot[i]));
        }
    }
    let share = s.splat(1.0 / rows.len() as f32);
    let mut mean = pivot;
    for i in 0..N {
        mean[i] = s.fma(sums[i], share, pivot[i]);
    }
    let mut squares = [s.splat(0.0); N];
    for row in rows {
        let values = x.load::<S, N>(s, row, columns);
        for i in 0..N {
            let distance = s.sub(values[i], mean[i]);
            squares[i] = s.fma(distance, distance, squares[i]);
        }
    }
    (mean, squares)
}

/// How x becomes y once the parameters are known.
struct Normalise<'a> {
    x: Rows<'a>,
    residual: Option<Rows<'a>>,
    y: Output<'a>,
    /// 0 with ReLU, else minus infinity.
    floor: f32,
}

impl Normalise<'_> {
    /// `scale` is weight / sqrt(var + eps).
    #[inline(always)]
    fn rows<S: Simd, const N: usize>(
        &self,
        s: S,
        rows: Range<usize>,
        columns: &Range<usize>,
        [mean, scale, bias]: [[S::V; N]; 3],
    ) {
        let floor = s.splat(self.floor);
        for row in rows {
            let mut values = self.x.load::<S, N>(s, row, columns);
            for i in 0..N {
                values[i] = s.fma(s.sub(values[i], mean[i]), scale[i], bias[i]);
            }
            if let Some(residual) = self.residual {
                let residual = residual.load::<S, N>(s, row, columns);
                for i in 0..N {
                    values[i] = s.add(values[i], residual[i]);
                }
            }
            for value in &mut values {
                // A NaN passes: `max` returns its second argument then.
                *value = s.max(floor, *value);
            }
            self.y.store::<S, N>(s, row, columns, values);
        }
    }
}

/// Few rows at once: statistics, running statistics, y.
struct Whole<'a> {
    kernel: &'a BatchNormForward,
    normalise: Normalise<'a>,
    weight: &'a [f32],
    bias: &'a [f32],
    running_mean: Output<'a>,
    running_var: Output<'a>,
    saved: Output<'a>,
}

impl ColumnWork for Whole<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, _chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let count = rows.len() as f32;
        let (mean, squares) = statistics::<S, N>(s, self.normalise.x, rows.clone(), &columns);
        let weight = load::<S, N>(s, &self.weight[columns.clone()]);
        let bias = load::<S, N>(s, &self.bias[columns.clone()]);
        let (mut inverse, mut unbiased, mut scale) = (squares, squares, weight);
        for i in 0..N {
            let biased = s.div(squares[i], s.splat(count));
            inverse[i] = s.div(s.splat(1.0), s.sqrt(s.add(biased, s.splat(self.kernel.eps))));
            unbiased[i] = s.div(squares[i], s.splat((count - 1.0).max(1.0)));
            scale[i] = s.mul(weight[i], inverse[i]);
        }
        self.saved.store::<S, N>(s, 0, &columns, mean);
        self.saved.store::<S, N>(s, 1, &columns, inverse);
        let momentum = s.splat(self.kernel.momentum);
        let keep = s.splat(1.0 - self.kernel.momentum);
        for (running, batch) in [(&self.running_mean, mean), (&self.running_var, unbiased)] {
            let mut values = running.load::<S, N>(s, 0, &columns);
            for i in 0..N {
                values[i] = s.fma(momentum, batch[i], s.mul(keep, values[i]));
            }
            running.store::<S, N>(s, 0, &columns, values);
        }
        self.normalise.rows::<S, N>(s, rows, &columns, [mean, scale, bias]);
    }
}

/// Statistics of each chunk, to `[chunks, 2, columns]`.
struct Chunks<'a> {
    x: Rows<'a>,
    partials: Output<'a>,
}

impl ColumnWork for Chunks<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let (mean, squares) = statistics::<S, N>(s, self.x, rows, &columns);
        self.partials.store::<S, N>(s, 2 * chunk, &columns, mean);
        self.partials.store::<S, N>(s, 2 * chunk + 1, &columns, squares);
    }
}

/// y from mean, scale and bias, each as long as a folded row.
struct Apply<'a> {
    normalise: Normalise<'a>,
    parameters: [&'a [f32]; 3],
}

impl ColumnWork for Apply<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, _chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let parameters = self.parameters.map(|values| load::<S, N>(s, &values[columns.clone()]));
        self.normalise.rows::<S, N>(s, rows, &columns, parameters);
    }
}

/// What both kinds of forward pass read.
struct Inputs<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
    relu: bool,
}

impl Inputs<'_> {
    /// Folded rows and rest.
    fn normalise<'a>(&'a self, cut: &Cut, y: &'a mut [f32]) -> [Normalise<'a>; 2] {
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let residual = self.residual.map(|residual| cut.rows(residual));
        let ([x, x_rest], [y, y_rest]) = (cut.rows(self.x), cut.output(y));
        [
            Normalise { x, residual: residual.map(|pair| pair[0]), y, floor },
            Normalise { x: x_rest, residual: residual.map(|pair| pair[1]), y: y_rest, floor },
        ]
    }
}

/// Normalises all rows with mean, scale and bias `of` each channel.
fn apply(
    cpu: &Cpu,
    cut: &Cut,
    normalise: [Normalise; 2],
    scratch: &mut [f32],
    of: impl Fn(usize) -> [f32; 3],
) {
    let parameters = cut.parameters(scratch, of);
    cut.run(cpu, &normalise.map(|normalise| Apply { normalise, parameters }));
}

pub(super) fn forward_scratch(kernel: &BatchNormForward) -> usize {
    let cut = Cut::new(kernel.rows, kernel.channels);
    if cut.whole().is_some() { 0 } else { cut.partial_words() + 3 * cut.width() }
}

pub(super) fn forward(kernel: &BatchNormForward, cpu: &Cpu, args: &mut Args) {
    let relu = kernel.relu;
    if kernel.residual {
        let ([x, weight, bias, mean, var, residual, y, saved], scratch) = args.split();
        let residual = Some(residual.f32());
        let inputs = Inputs { x: x.f32(), weight: weight.f32(), bias: bias.f32(), residual, relu };
        train(kernel, cpu, &inputs, [mean, var, y, saved].map(Arg::f32_mut), scratch);
    } else {
        let ([x, weight, bias, mean, var, y, saved], scratch) = args.split();
        let inputs = Inputs { x: x.f32(), weight: weight.f32(), bias: bias.f32(), residual: None, relu };
        train(kernel, cpu, &inputs, [mean, var, y, saved].map(Arg::f32_mut), scratch);
    }
}

fn train(
    kernel: &BatchNormForward,
    cpu: &Cpu,
    inputs: &Inputs,
    [running_mean, running_var, y, saved]: [&mut [f32]; 4],
    scratch: &mut [u32],
) {
    let channels = kernel.channels;
    let cut = Cut::new(kernel.rows, channels);
    let normalise = inputs.normalise(&cut, y);
    if let Some(rows) = cut.whole() {
        let [normalise, _] = normalise;
        let [running_mean, running_var, saved] =
            [running_mean, running_var, saved].map(|data| Output::new(data, channels));
        let (weight, bias) = (inputs.weight, inputs.bias);
        rows.run(cpu, &Whole { kernel, normalise, weight, bias, running_mean, running_var, saved });
        return;
    }
    let (partials, parameters) = bytemuck::cast_slice_mut(scratch).split_at_mut(cut.partial_words());
    let [wide, rest] = cut.partials(partials);
    let chunks = [(normalise[0].x, wide), (normalise[1].x, rest)].map(|(x, partials)| Chunks { x, partials });
    cut.run(cpu, &chunks);
    cpu.isa.run(Merge { kernel, cut: &cut, partials, running_mean, running_var, saved });
    let (mean, inverse) = saved.split_at(channels);
    apply(cpu, &cut, normalise, parameters, |c| [mean[c], inputs.weight[c] * inverse[c], inputs.bias[c]]);
}

/// Merges the chunks: `mean = Σ n_k mean_k / n`, `m2 = Σ m2_k + n_k (mean_k - mean)²`, in f64.
struct Merge<'a> {
    kernel: &'a BatchNormForward,
    cut: &'a Cut,
    partials: &'a [f32],
    running_mean: &'a mut [f32],
    running_var: &'a mut [f32],
    saved: &'a mut [f32],
}

impl Vectorised for Merge<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        /// Channels merged together, so that neighbours in memory are read together.
        const BLOCK: usize = 64;
        let Self { kernel, cut, partials, running_mean, running_var, saved } = self;
        let rows = kernel.rows as f64;
        let (saved_mean, saved_inverse) = saved.split_at_mut(kernel.channels);
        for start in (0..kernel.channels).step_by(BLOCK) {
            let block = start..(start + BLOCK).min(kernel.channels);
            let (mut mean, mut m2) = ([0.0f64; BLOCK], [0.0f64; BLOCK]);
            for (count, means, _) in cut.parts(partials) {
                for (mean, &partial) in mean.iter_mut().zip(&means[block.clone()]) {
                    *mean += count as f64 * f64::from(partial);
                }
            }
            for mean in &mut mean {
                *mean /= rows;
            }
            for (count, means, squares) in cut.parts(partials) {
                let parts = means[block.clone()].iter().zip(&squares[block.clone()]);
                for ((m2, mean), (&partial, &squares)) in m2.iter_mut().zip(&mean).zip(parts) {
                    *m2 += f64::from(squares) + count as f64 * (f64::from(partial) - mean).powi(2);
                }
            }
            for (i, channel) in block.enumerate() {
                saved_mean[channel] = mean[i] as f32;
                saved_inverse[channel] = (1.0 / (m2[i] / rows + f64::from(kernel.eps)).sqrt()) as f32;
                let unbiased = (m2[i] / (rows - 1.0).max(1.0)) as f32;
                let (keep, momentum) = (1.0 - kernel.momentum, kernel.momentum);
                running_mean[channel] = keep * running_mean[channel] + momentum * saved_mean[channel];
                running_var[channel] = keep * running_var[channel] + momentum * unbiased;
            }
        }
    }
}

pub(super) fn inference_scratch(kernel: &BatchNormInference) -> usize {
    3 * Cut::new(kernel.rows, kernel.channels).width()
}

pub(super) fn inference(kernel: &BatchNormInference, cpu: &Cpu, args: &mut Args) {
    let relu = kernel.relu;
    if kernel.residual {
        let ([x, weight, bias, mean, var, residual, y], scratch) = args.split();
        let residual = Some(residual.f32());
        let inputs = Inputs { x: x.f32(), weight: weight.f32(), bias: bias.f32(), residual, relu };
        evaluate(kernel, cpu, &inputs, [mean.f32(), var.f32()], y.f32_mut(), scratch);
    } else {
        let ([x, weight, bias, mean, var, y], scratch) = args.split();
        let inputs = Inputs { x: x.f32(), weight: weight.f32(), bias: bias.f32(), residual: None, relu };
        evaluate(kernel, cpu, &inputs, [mean.f32(), var.f32()], y.f32_mut(), scratch);
    }
}

fn evaluate(
    kernel: &BatchNormInference,
    cpu: &Cpu,
    inputs: &Inputs,
    [mean, var]: [&[f32]; 2],
    y: &mut [f32],
    scratch: &mut [u32],
) {
    let cut = Cut::new(kernel.rows, kernel.channels);
    let normalise = inputs.normalise(&cut, y);
    apply(cpu, &cut, normalise, bytemuck::cast_slice_mut(scratch), |c| {
        [mean[c], inputs.weight[c] / (var[c] + kernel.eps).sqrt(), inputs.bias[c]]
    });
}
