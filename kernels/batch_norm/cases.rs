//! Shapes for tests and benches, and the definitions in f64.

use super::{
    BatchNormBackward, BatchNormForward, BatchNormInference, BatchNormInferenceBackward, BatchNormRunning,
};
use crate::case::test_values;
use crate::{Case, Clock, Kernel, Size, Values};
use std::sync::Arc;

const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // Rows: a few, around a workgroup's height, and enough for several chunks. Channels: scalars and vectors.
    let tiny = [
        (1, 5),
        (2, 1),
        (3, 3),
        (5, 4),
        (7, 17),
        (9, 65),
        (16, 16),
        (33, 20),
        (37, 36),
        (4, 257),
        (65, 84),
        (1024, 2),
        (1025, 4),
        (1100, 5),
        (1300, 20),
        // Chunks of narrow rows, folded or not, whole or not, and buffers that are bound in windows.
        (300, 130),
        (600, 65),
        (1030, 1),
        (2100, 3),
        (9001, 2),
    ];
    // The MLPs' layers, one of their last batches, and a convolution's output.
    let real = [(256, 512), (256, 256), (256, 100), (96, 112), (65_536, 64)];
    let sized =
        tiny.map(|shape| (shape, Size::Tiny)).into_iter().chain(real.map(|shape| (shape, Size::Real)));
    for ((rows, channels), size) in sized {
        for (relu, residual) in [(false, false), (true, false), (false, true), (true, true)] {
            // A residual adds nothing that another size would show.
            if residual && size == Size::Real && (rows < 65_536 || !relu) {
                continue;
            }
            // A mean of 100 deviations shows whether the statistics are stable.
            let mean = if relu { 0.0 } else { 100.0 };
            if rows > 1 {
                cases.push(forward(rows, channels, relu, residual, mean, size));
            }
            cases.push(inference(rows, channels, relu, residual, size));
            cases.push(backward(rows, channels, relu, residual, None, size));
            cases.push(backward(rows, channels, relu, residual, Some(1), size));
            // One group for each example.
            for groups in [3, 25].into_iter().filter(|groups| rows > *groups && rows % groups == 0) {
                cases.push(backward(rows, channels, relu, residual, Some(groups), size));
            }
        }
    }
    for channels in [1, 5, 64, 257] {
        cases.push(running(channels));
    }
    cases.push(forward(1, 5, false, false, 0.0, Size::Tiny));
    cases.push(forward(257, 8, true, false, 3.0, Size::Tiny));
    cases.push(constant_channels());
    cases.extend(super::tangent_cases::cases());
    cases
}

/// Values around `centre`, or, of a large case, around 0: they are made when they are needed.
fn image(n: usize, stream: u32, centre: f32, width: f32, size: Size) -> Values {
    match size {
        Size::Tiny => around(n, stream, centre, width),
        Size::Real => Values::Random { len: n, stream },
    }
}

/// Values around `centre`.
fn around(n: usize, stream: u32, centre: f32, width: f32) -> Values {
    Values::F32(test_values(n, stream).into_iter().map(|v| centre + width * v).collect())
}

/// A buffer that is written.
fn written(n: usize) -> Values {
    Values::Random { len: n, stream: 0 }
}

/// Mean and biased variance of channel `c`.
fn moments(x: &[f64], channels: usize, c: usize) -> (f64, f64) {
    let column: Vec<f64> = x.iter().skip(c).step_by(channels).copied().collect();
    let mean = column.iter().sum::<f64>() / column.len() as f64;
    let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / column.len() as f64;
    (mean, variance)
}

fn relu(v: f64, relu: bool) -> f64 {
    if relu { v.max(0.0) } else { v }
}

fn forward(rows: usize, channels: usize, relu: bool, residual: bool, mean: f32, size: Size) -> Case {
    let x = image(rows * channels, 1, mean, 1.7, size);
    forward_of(x, BatchNormForward { rows, channels, eps: EPS, momentum: MOMENTUM, relu, residual }, size)
}

/// Channels that do not vary: y is the bias, and nothing divides by zero.
fn constant_channels() -> Case {
    let (rows, channels) = (40, 6);
    let x = Values::F32((0..rows * channels).map(|i| (i % channels) as f32 * 1000.0).collect());
    let (relu, residual) = (false, false);
    forward_of(
        x,
        BatchNormForward { rows, channels, eps: EPS, momentum: MOMENTUM, relu, residual },
        Size::Tiny,
    )
}

fn forward_of(x: Values, kernel: BatchNormForward, size: Size) -> Case {
    let BatchNormForward { rows, channels: c, relu: with_relu, residual, .. } = kernel;
    let mut inputs = vec![
        x,
        around(c, 2, 1.0, 0.5),
        around(c, 3, 0.1, 0.5),
        around(c, 4, 0.0, 1.0),
        around(c, 5, 2.0, 1.0),
    ];
    if residual {
        inputs.push(image(rows * c, 6, 0.0, 2.0, size));
    }
    inputs.extend([written(rows * c), written(2 * c)]);
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs,
        expected: Box::new(move |inputs| {
            let [x, weight, bias, mut running_mean, mut running_var] =
                std::array::from_fn(|i| inputs[i].f64());
            let branch = if residual { inputs[5].f64() } else { vec![0.0; rows * c] };
            let (mut y, mut saved) = (vec![0.0; rows * c], vec![0.0; 2 * c]);
            let momentum = f64::from(MOMENTUM);
            for channel in 0..c {
                let (mean, variance) = moments(&x, c, channel);
                let inverse = 1.0 / (variance + f64::from(EPS)).sqrt();
                let unbiased = if rows == 1 { 0.0 } else { variance * rows as f64 / (rows as f64 - 1.0) };
                for i in (channel..rows * c).step_by(c) {
                    let z = (x[i] - mean) * inverse * weight[channel] + bias[channel] + branch[i];
                    y[i] = relu(z, with_relu);
                }
                (saved[channel], saved[c + channel]) = (mean, inverse);
                running_mean[channel] = (1.0 - momentum) * running_mean[channel] + momentum * mean;
                running_var[channel] = (1.0 - momentum) * running_var[channel] + momentum * unbiased;
            }
            let mut expected = vec![None, None, None, Some(running_mean), Some(running_var)];
            expected.extend(residual.then_some(None));
            expected.extend([Some(y), Some(saved)]);
            expected
        }),
        // A mean of 100 cannot be held better than 4e-6, and y inherits that.
        tolerance: 1e-5,
        size,
    }
}

fn inference(rows: usize, channels: usize, with_relu: bool, residual: bool, size: Size) -> Case {
    let c = channels;
    let mut inputs = vec![
        image(rows * c, 1, 0.5, 1.7, size),
        around(c, 2, 1.0, 0.5),
        around(c, 3, 0.1, 0.5),
        around(c, 4, 0.4, 1.0),
        around(c, 5, 1.2, 1.0),
    ];
    if residual {
        inputs.push(image(rows * c, 6, 0.0, 2.0, size));
    }
    inputs.push(written(rows * c));
    Case {
        kernel: Arc::new(BatchNormInference { rows, channels, eps: EPS, relu: with_relu, residual }),
        clock: Clock::default(),
        inputs,
        expected: Box::new(move |inputs| {
            let [x, weight, bias, mean, variance] = std::array::from_fn(|i| inputs[i].f64());
            let branch = if residual { inputs[5].f64() } else { vec![0.0; rows * c] };
            let y = x.iter().enumerate().map(|(i, &x)| {
                let channel = i % c;
                let xhat = (x - mean[channel]) / (variance[channel] + f64::from(EPS)).sqrt();
                relu(xhat * weight[channel] + bias[channel] + branch[i], with_relu)
            });
            let mut expected = vec![None; inputs.len() - 1];
            expected.push(Some(y.collect()));
            expected
        }),
        tolerance: 2e-6,
        size,
    }
}

fn running(channels: usize) -> Case {
    let inputs = vec![around(channels, 1, 0.4, 1.0), around(channels, 2, 1.2, 1.0), written(2 * channels)];
    Case {
        kernel: Arc::new(BatchNormRunning { channels, eps: EPS }),
        clock: Clock::default(),
        inputs,
        expected: Box::new(move |inputs| {
            let inverses =
                inputs[1].f64().into_iter().map(|variance| 1.0 / (variance + f64::from(EPS)).sqrt());
            vec![None, None, Some(inputs[0].f64().into_iter().chain(inverses).collect())]
        }),
        tolerance: 1e-6,
        size: Size::Tiny,
    }
}

/// With the statistics of the batch, or, in so many groups, with given ones.
fn backward(
    rows: usize,
    channels: usize,
    with_relu: bool,
    residual: bool,
    given: Option<usize>,
    size: Size,
) -> Case {
    let (c, groups) = (channels, given.unwrap_or(1));
    // Two rows cancel in dx up to what eps leaves, some 1e-4 of dy: the more, the further apart they are.
    let x = image(rows * c, 1, 1.0, if rows == 2 { 0.5 } else { 1.7 }, size);
    // y only gates the gradient.
    let y = Values::Random { len: rows * c, stream: 2 };
    // What forward would save.
    let values = x.f64();
    let moments: Vec<_> = (0..c).map(|channel| moments(&values, c, channel)).collect();
    let saved = moments
        .iter()
        .map(|&(mean, _)| mean as f32)
        .chain(moments.iter().map(|&(_, variance)| (1.0 / (variance + f64::from(EPS)).sqrt()) as f32));
    let saved = Values::F32(saved.collect());
    let mut inputs = vec![x];
    inputs.extend(with_relu.then_some(y));
    inputs.extend([around(c, 3, 1.0, 0.5), saved, image(rows * c, 4, 0.1, 1.0, size)]);
    inputs.extend(residual.then(|| written(rows * c)));
    inputs.extend([written(groups * c), written(groups * c)]);
    let relu = with_relu;
    let kernel: Arc<dyn Kernel> = match given {
        None => Arc::new(BatchNormBackward { rows, channels, relu, residual }),
        Some(groups) => Arc::new(BatchNormInferenceBackward { rows, channels, relu, residual, groups }),
    };
    Case {
        kernel,
        clock: Clock::default(),
        inputs,
        expected: Box::new(move |inputs| {
            let first = usize::from(with_relu);
            let [weight, saved, mut dy] = std::array::from_fn(|i| inputs[1 + first + i].f64());
            let x = inputs[0].f64();
            if with_relu {
                let y = inputs[1].f64();
                dy.iter_mut().zip(&y).filter(|(_, y)| **y <= 0.0).for_each(|(dy, _)| *dy = 0.0);
            }
            let (mut dx, mut sums) = (vec![0.0; rows * c], [vec![0.0; groups * c], vec![0.0; groups * c]]);
            let xhat = |i: usize| (x[i] - saved[i % c]) * saved[c + i % c];
            for (i, dy) in dy.iter().enumerate() {
                let sum = i / c / (rows / groups) * c + i % c;
                sums[0][sum] += dy * xhat(i);
                sums[1][sum] += dy;
            }
            let [dweight, dbias] = sums;
            for (i, dx) in dx.iter_mut().enumerate() {
                // Through the statistics of the batch, if they are.
                let along = match given {
                    None => (dbias[i % c] + xhat(i) * dweight[i % c]) / rows as f64,
                    Some(_) => 0.0,
                };
                *dx = weight[i % c] * saved[c + i % c] * (dy[i] - along);
            }
            let mut expected = vec![None; 3 + first];
            expected.extend(residual.then_some(Some(dy)));
            expected.extend([Some(dx), Some(dweight), Some(dbias)]);
            expected
        }),
        tolerance: if rows == 2 { 2e-3 } else { 5e-6 },
        size,
    }
}
