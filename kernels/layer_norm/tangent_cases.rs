//! The tangents' shapes, and their definition: differences of the f64 function and of its f64 gradients.

use super::{LayerNormGradientTangent, LayerNormTangent};
use crate::case::{derivative, moved, test_values};
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

const EPS: f32 = 1e-5;

/// The cases of both.
pub(super) fn cases() -> Vec<Case> {
    let tiny = [[1, 3], [3, 5], [2, 16], [65, 17], [7, 33], [5, 48], [3, 192], [130, 9], [2, 300]];
    // The tokens of ViT-Tiny at batch 16.
    let shapes = tiny.map(|shape| (shape, Size::Tiny)).into_iter().chain([([16 * 65, 192], Size::Real)]);
    shapes.flat_map(|(shape, size)| [forward(shape, size), gradients(shape, size)]).collect()
}

/// xhat of a row, and inverse.
fn normalised(x: &[f64]) -> (Vec<f64>, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let inverse = 1.0 / (var + f64::from(EPS)).sqrt();
    (x.iter().map(|x| (x - mean) * inverse).collect(), inverse)
}

/// `dx` of a row, then `dy xhat`.
fn gradient(x: &[f64], weight: &[f64], dy: &[f64]) -> Vec<f64> {
    let ((xhat, inverse), n) = (normalised(x), x.len() as f64);
    let g: Vec<f64> = dy.iter().zip(weight).map(|(dy, weight)| dy * weight).collect();
    let mean = g.iter().sum::<f64>() / n;
    let along = g.iter().zip(&xhat).map(|(g, xhat)| g * xhat).sum::<f64>() / n;
    let dx = g.iter().zip(&xhat).map(|(g, xhat)| inverse * (g - mean - xhat * along));
    dx.chain(dy.iter().zip(&xhat).map(|(dy, xhat)| dy * xhat)).collect()
}

/// x in (-0.5, 1.5), so that its mean is not 0.
fn x(len: usize) -> Values {
    Values::F32(test_values(len, 1).into_iter().map(|v| v + 0.5).collect())
}

fn forward([rows, width]: [usize; 2], size: Size) -> Case {
    let (all, random) = (rows * width, |len, stream| Values::Random { len, stream });
    Case {
        kernel: Arc::new(LayerNormTangent { rows, width, eps: EPS }),
        clock: Clock::default(),
        inputs: vec![
            x(all),
            random(all, 2),
            random(width, 3),
            random(width, 4),
            random(width, 5),
            random(all, 6),
        ],
        expected: Box::new(move |inputs| {
            let [x, x_tangent, weight, weight_tangent, bias_tangent] =
                std::array::from_fn(|i| inputs[i].f64());
            let y = x.chunks(width).zip(x_tangent.chunks(width)).flat_map(|(x, dx)| {
                derivative(|h| {
                    let (xhat, _) = normalised(&moved(x, dx, h));
                    let weight = moved(&weight, &weight_tangent, h);
                    (0..width).map(|c| xhat[c] * weight[c] + h * bias_tangent[c]).collect()
                })
            });
            vec![None, None, None, None, None, Some(y.collect())]
        }),
        tolerance: 1e-5,
        size,
    }
}

fn gradients([rows, width]: [usize; 2], size: Size) -> Case {
    let (all, random) = (rows * width, |len, stream| Values::Random { len, stream });
    Case {
        kernel: Arc::new(LayerNormGradientTangent { rows, width, eps: EPS }),
        clock: Clock::default(),
        inputs: vec![
            x(all),
            random(all, 2),
            random(width, 3),
            random(width, 4),
            random(all, 5),
            random(all, 6),
            random(all, 7),
            random(all, 8),
        ],
        expected: Box::new(move |inputs| {
            let [x, x_tangent, weight, weight_tangent, dy, dy_tangent] =
                std::array::from_fn(|i| inputs[i].f64());
            let (mut dx, mut product) = (Vec::new(), Vec::new());
            for row in (0..all).step_by(width) {
                let at = row..row + width;
                let both = derivative(|h| {
                    let x = moved(&x[at.clone()], &x_tangent[at.clone()], h);
                    let dy = moved(&dy[at.clone()], &dy_tangent[at.clone()], h);
                    gradient(&x, &moved(&weight, &weight_tangent, h), &dy)
                });
                dx.extend(&both[..width]);
                product.extend(&both[width..]);
            }
            vec![None, None, None, None, None, None, Some(dx), Some(product)]
        }),
        tolerance: 2e-5,
        size,
    }
}
