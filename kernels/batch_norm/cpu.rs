//! Batch normalisation on the CPU: channels in vector lanes, chunks of rows as tasks.
//!
//! Statistics of a chunk take two passes over it (mean, then squared distances), relative to its first row, while it
//! lies in the cache; chunks are merged in f64.

use super::{BatchNormForward, BatchNormInference};
use crate::reduce::columns::{ColumnWork, Columns, Output, Rows, load};
use crate::simd::Simd;
use crate::{Arg, Args, Cpu};
use std::ops::Range;

/// Mean, and sum of squared distances from it, of a block of columns over some rows.
#[inline(always)]
fn statistics<S: Simd, const N: usize>(
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
    let count = s.splat(rows.len() as f32);
    let mut mean = pivot;
    for i in 0..N {
        mean[i] = s.add(pivot[i], s.div(sums[i], count));
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

/// How x becomes y once mean and scale are known.
struct Normalise<'a> {
    x: Rows<'a>,
    residual: Option<Rows<'a>>,
    y: Output<'a>,
    weight: &'a [f32],
    bias: &'a [f32],
    /// 0 with ReLU, else minus infinity.
    floor: f32,
}

impl Normalise<'_> {
    #[inline(always)]
    fn rows<S: Simd, const N: usize>(
        &self,
        s: S,
        rows: Range<usize>,
        columns: &Range<usize>,
        mean: [S::V; N],
        inverse: [S::V; N],
    ) {
        let weight = load::<S, N>(s, &self.weight[columns.clone()]);
        let bias = load::<S, N>(s, &self.bias[columns.clone()]);
        let floor = s.splat(self.floor);
        let mut scale = inverse;
        for i in 0..N {
            scale[i] = s.mul(inverse[i], weight[i]);
        }
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

/// `1 / sqrt(variance + eps)`.
#[inline(always)]
fn inverse<S: Simd, const N: usize>(s: S, variance: [S::V; N], eps: f32) -> [S::V; N] {
    let mut result = variance;
    for v in &mut result {
        *v = s.div(s.splat(1.0), s.sqrt(s.add(*v, s.splat(eps))));
    }
    result
}

/// All rows at once: statistics, running statistics, y.
struct Whole<'a> {
    kernel: &'a BatchNormForward,
    normalise: Normalise<'a>,
    running_mean: Output<'a>,
    running_var: Output<'a>,
    saved: Output<'a>,
}

impl ColumnWork for Whole<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, _chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let count = rows.len() as f32;
        let (mean, squares) = statistics::<S, N>(s, self.normalise.x, rows.clone(), &columns);
        let (mut biased, mut unbiased) = (squares, squares);
        for i in 0..N {
            biased[i] = s.div(squares[i], s.splat(count));
            unbiased[i] = s.div(squares[i], s.splat((count - 1.0).max(1.0)));
        }
        let inverse = inverse::<S, N>(s, biased, self.kernel.eps);
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
        self.normalise.rows::<S, N>(s, rows, &columns, mean, inverse);
    }
}

/// Statistics of each chunk, to `[chunks, 2, C]`.
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

/// y from `saved`, or from running statistics if `eps` is given.
struct Apply<'a> {
    normalise: Normalise<'a>,
    mean: &'a [f32],
    deviation: &'a [f32],
    eps: Option<f32>,
}

impl ColumnWork for Apply<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, _chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let mean = load::<S, N>(s, &self.mean[columns.clone()]);
        let mut scale = load::<S, N>(s, &self.deviation[columns.clone()]);
        if let Some(eps) = self.eps {
            scale = inverse::<S, N>(s, scale, eps);
        }
        self.normalise.rows::<S, N>(s, rows, &columns, mean, scale);
    }
}

pub(super) fn forward(kernel: &BatchNormForward, cpu: &Cpu, args: &mut Args) {
    if kernel.residual {
        let ([x, weight, bias, mean, var, residual, y, saved], scratch) = args.split();
        let inputs = Inputs { x, weight, bias, residual: Some(residual) };
        train(kernel, cpu, inputs, [mean, var, y, saved].map(Arg::f32_mut), scratch);
    } else {
        let ([x, weight, bias, mean, var, y, saved], scratch) = args.split();
        let inputs = Inputs { x, weight, bias, residual: None };
        train(kernel, cpu, inputs, [mean, var, y, saved].map(Arg::f32_mut), scratch);
    }
}

/// What both kinds of forward pass read.
struct Inputs<'a> {
    x: &'a Arg<'a>,
    weight: &'a Arg<'a>,
    bias: &'a Arg<'a>,
    residual: Option<&'a Arg<'a>>,
}

impl<'a> Inputs<'a> {
    fn normalise(&self, y: &'a mut [f32], channels: usize, relu: bool) -> Normalise<'a> {
        Normalise {
            x: Rows::new(self.x.f32(), channels),
            residual: self.residual.map(|residual| Rows::new(residual.f32(), channels)),
            y: Output::new(y, channels),
            weight: self.weight.f32(),
            bias: self.bias.f32(),
            floor: if relu { 0.0 } else { f32::NEG_INFINITY },
        }
    }
}

fn train<'a>(
    kernel: &BatchNormForward,
    cpu: &Cpu,
    inputs: Inputs<'a>,
    [running_mean, running_var, y, saved]: [&'a mut [f32]; 4],
    scratch: &mut [u32],
) {
    let (cut, channels) = (kernel.cut(), kernel.channels);
    let normalise = inputs.normalise(y, channels, kernel.relu);
    if cut.whole() {
        let running_mean = Output::new(running_mean, channels);
        let running_var = Output::new(running_var, channels);
        let saved = Output::new(saved, channels);
        cut.run(cpu, &Whole { kernel, normalise, running_mean, running_var, saved });
        return;
    }
    let partials: &mut [f32] = bytemuck::cast_slice_mut(scratch);
    cut.run(cpu, &Chunks { x: normalise.x, partials: Output::new(partials, channels) });
    merge(kernel, &cut, partials, running_mean, running_var, saved);
    let (mean, deviation) = saved.split_at(channels);
    cut.run(cpu, &Apply { normalise, mean, deviation, eps: None });
}

/// Merges the chunks: `mean = Σ n_k mean_k / n`, `m2 = Σ m2_k + n_k (mean_k - mean)²`, in f64.
fn merge(
    kernel: &BatchNormForward,
    cut: &Columns,
    partials: &[f32],
    running_mean: &mut [f32],
    running_var: &mut [f32],
    saved: &mut [f32],
) {
    /// Channels merged together, so that neighbours in memory are read together.
    const BLOCK: usize = 64;
    let channels = kernel.channels;
    let rows = kernel.rows as f64;
    let (saved_mean, saved_inverse) = saved.split_at_mut(channels);
    let count = |chunk: usize| cut.chunk_rows.min(cut.rows - chunk * cut.chunk_rows) as f64;
    for start in (0..channels).step_by(BLOCK) {
        let block = start..(start + BLOCK).min(channels);
        let (mut mean, mut m2) = ([0.0f64; BLOCK], [0.0f64; BLOCK]);
        for chunk in 0..cut.chunks {
            let means = &partials[2 * chunk * channels..][block.clone()];
            for (mean, &partial) in mean.iter_mut().zip(means) {
                *mean += count(chunk) * f64::from(partial);
            }
        }
        for mean in &mut mean {
            *mean /= rows;
        }
        for chunk in 0..cut.chunks {
            let means = &partials[2 * chunk * channels..][block.clone()];
            let squares = &partials[(2 * chunk + 1) * channels..][block.clone()];
            for (i, (&partial, &squares)) in means.iter().zip(squares).enumerate() {
                m2[i] += f64::from(squares) + count(chunk) * (f64::from(partial) - mean[i]).powi(2);
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

pub(super) fn inference(kernel: &BatchNormInference, cpu: &Cpu, args: &mut Args) {
    if kernel.residual {
        let ([x, weight, bias, mean, var, residual, y], _) = args.split();
        let inputs = Inputs { x, weight, bias, residual: Some(residual) };
        evaluate(kernel, cpu, inputs, mean.f32(), var.f32(), y.f32_mut());
    } else {
        let ([x, weight, bias, mean, var, y], _) = args.split();
        let inputs = Inputs { x, weight, bias, residual: None };
        evaluate(kernel, cpu, inputs, mean.f32(), var.f32(), y.f32_mut());
    }
}

fn evaluate<'a>(
    kernel: &BatchNormInference,
    cpu: &Cpu,
    inputs: Inputs<'a>,
    mean: &[f32],
    deviation: &[f32],
    y: &'a mut [f32],
) {
    let normalise = inputs.normalise(y, kernel.channels, kernel.relu);
    let cut = Columns::new(kernel.rows, kernel.channels);
    cut.run(cpu, &Apply { normalise, mean, deviation, eps: Some(kernel.eps) });
}
