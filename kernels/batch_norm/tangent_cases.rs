//! The tangents' shapes, and their definition: differences of the f64 function and of its f64 gradients.

use super::{BatchNormGradientTangent, BatchNormTangent};
use crate::case::{derivative, moved, test_values};
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

const EPS: f64 = 1e-5;

/// The cases of both.
pub(super) fn cases() -> Vec<Case> {
    let tiny = [[5, 1], [3, 5], [7, 16], [65, 17], [255, 4], [300, 12], [513, 33], [1030, 3], [4, 100]];
    // The hidden layers of the MLP and a ResNet's second stage at batch 16.
    let real = [[256, 512], [16 * 16 * 16, 128]];
    let shapes = tiny.map(|shape| (shape, Size::Tiny)).into_iter().chain(real.map(|s| (s, Size::Real)));
    shapes.flat_map(|(shape, size)| [forward(shape, size), gradients(shape, size)]).collect()
}

/// Mean and inverse of a column.
fn statistics(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    (mean, 1.0 / (var + EPS).sqrt())
}

/// `y` of a column.
fn normalised(x: &[f64], weight: f64, bias: f64) -> Vec<f64> {
    let (mean, inverse) = statistics(x);
    x.iter().map(|x| (x - mean) * inverse * weight + bias).collect()
}

/// `dx` of a column, then dweight and dbias.
fn gradient(x: &[f64], weight: f64, dy: &[f64]) -> Vec<f64> {
    let ((mean, inverse), n) = (statistics(x), x.len() as f64);
    let xhat: Vec<f64> = x.iter().map(|x| (x - mean) * inverse).collect();
    let dbias: f64 = dy.iter().sum();
    let dweight: f64 = dy.iter().zip(&xhat).map(|(dy, xhat)| dy * xhat).sum();
    let dx = dy.iter().zip(&xhat).map(|(dy, xhat)| weight * inverse * (dy - dbias / n - xhat * dweight / n));
    dx.chain([dweight, dbias]).collect()
}

fn column(values: &[f64], channels: usize, c: usize) -> Vec<f64> {
    values.iter().skip(c).step_by(channels).copied().collect()
}

/// x in (-0.5, 1.5), so that its mean is not 0.
fn x(rows: usize, channels: usize) -> Vec<f32> {
    test_values(rows * channels, 1).into_iter().map(|v| v + 0.5).collect()
}

/// `[words, C]` of what `of` gives for each column.
fn per_channel(channels: usize, words: usize, of: impl Fn(usize) -> Vec<f64>) -> Vec<f32> {
    let columns: Vec<Vec<f64>> = (0..channels).map(of).collect();
    (0..words * channels).map(|i| columns[i % channels][i / channels] as f32).collect()
}

/// What the forward pass leaves for the gradients.
fn channel(x: &[f64], x_tangent: &[f64], weight: [&[f64]; 2], channels: usize) -> Vec<f32> {
    per_channel(channels, super::CHANNEL_WORDS, |c| {
        let (x, moved) = (column(x, channels, c), column(x_tangent, channels, c));
        let ((mean, inverse), n) = (statistics(&x), x.len() as f64);
        let product: f64 = x.iter().zip(&moved).map(|(x, moved)| (x - mean) * inverse * moved).sum();
        vec![mean, inverse, weight[0][c], weight[1][c], moved.iter().sum::<f64>() / n, product / n]
    })
}

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

fn forward([rows, channels]: [usize; 2], size: Size) -> Case {
    let random = |len, stream| Values::Random { len, stream };
    let x = x(rows, channels);
    let wide = f64s(&x);
    let saved = per_channel(channels, 2, |c| {
        let (mean, inverse) = statistics(&column(&wide, channels, c));
        vec![mean, inverse]
    });
    Case {
        kernel: Arc::new(BatchNormTangent { rows, channels }),
        clock: Clock::default(),
        inputs: vec![
            Values::F32(x),
            random(rows * channels, 2),
            Values::F32(saved),
            random(channels, 3),
            random(channels, 4),
            random(channels, 5),
            random(rows * channels, 6),
            random(super::CHANNEL_WORDS * channels, 7),
        ],
        expected: Box::new(move |inputs| {
            let [x, x_tangent] = [&inputs[0], &inputs[1]].map(Values::f64);
            let [weight, weight_tangent, bias_tangent] = std::array::from_fn(|i| inputs[3 + i].f64());
            let columns: Vec<Vec<f64>> = (0..channels)
                .map(|c| {
                    let (x, dx) = (column(&x, channels, c), column(&x_tangent, channels, c));
                    derivative(|h| {
                        normalised(&moved(&x, &dx, h), weight[c] + h * weight_tangent[c], h * bias_tangent[c])
                    })
                })
                .collect();
            let y = (0..rows * channels).map(|i| columns[i % channels][i / channels]).collect();
            let channel = channel(&x, &x_tangent, [&weight, &weight_tangent], channels);
            vec![None, None, None, None, None, None, Some(y), Some(f64s(&channel))]
        }),
        tolerance: 1e-5,
        size,
    }
}

fn gradients([rows, channels]: [usize; 2], size: Size) -> Case {
    let all = rows * channels;
    let random = |len, stream| Values::Random { len, stream };
    let x = x(rows, channels);
    let (x_tangent, weights) = (test_values(all, 2), [3, 4].map(|stream| test_values(channels, stream)));
    let wide = weights.each_ref().map(|weight| f64s(weight));
    let channel = channel(&f64s(&x), &f64s(&x_tangent), [&wide[0], &wide[1]], channels);
    Case {
        kernel: Arc::new(BatchNormGradientTangent { rows, channels }),
        clock: Clock::default(),
        inputs: vec![
            Values::F32(x),
            Values::F32(x_tangent),
            Values::F32(channel),
            random(all, 5),
            random(all, 6),
            random(all, 7),
            random(channels, 8),
            random(channels, 9),
        ],
        expected: Box::new(move |inputs| {
            let [x, x_tangent] = [&inputs[0], &inputs[1]].map(Values::f64);
            let [dy, dy_tangent] = [&inputs[3], &inputs[4]].map(Values::f64);
            let columns: Vec<Vec<f64>> = (0..channels)
                .map(|c| {
                    let of = |values: &[f64]| column(values, channels, c);
                    derivative(|h| {
                        let (x, dy) =
                            (moved(&of(&x), &of(&x_tangent), h), moved(&of(&dy), &of(&dy_tangent), h));
                        gradient(&x, wide[0][c] + h * wide[1][c], &dy)
                    })
                })
                .collect();
            let dx = (0..all).map(|i| columns[i % channels][i / channels]).collect();
            let [dweight, dbias] =
                [0, 1].map(|word| columns.iter().map(|column| column[rows + word]).collect());
            vec![None, None, None, None, None, Some(dx), Some(dweight), Some(dbias)]
        }),
        tolerance: 2e-5,
        size,
    }
}
