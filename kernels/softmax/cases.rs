//! Shapes for tests and benches, and the definitions in f64.

use super::{Softmax, SoftmaxGradientTangent, SoftmaxTangent};
use crate::{Case, Clock, Kernel, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let tiny = [1, 3, 65].into_iter().flat_map(|rows| [1, 2, 10, 17, 32, 33, 65, 257].map(|c| (rows, c)));
    // Logits of CIFAR-100; the attention weights of ViT-Tiny at batch 64.
    let real = [(256, 100), (64 * 3 * 65, 65)];
    let shapes = tiny.map(|shape| (shape, Size::Tiny)).chain(real.map(|shape| (shape, Size::Real)));
    shapes.flat_map(|((rows, columns), size)| of(rows, columns, size)).collect()
}

/// `p` of one row.
fn softmax(scale: f64, x: &[f64]) -> Vec<f64> {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = x.iter().map(|x| (scale * (x - largest)).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| e / sum).collect()
}

/// `p ∘ (a - Σ p a)`, from the whole Jacobian `diag(p) - p pᵀ`.
fn product(p: &[f64], a: &[f64]) -> Vec<f64> {
    let entry = |i: usize, j: usize| if i == j { p[i] - p[i] * p[j] } else { -p[i] * p[j] };
    (0..p.len()).map(|i| (0..p.len()).map(|j| entry(i, j) * a[j]).sum()).collect()
}

fn of(rows: usize, columns: usize, size: Size) -> [Case; 3] {
    let (scale, shift) = (0.7, 0.2);
    let all = rows * columns;
    let case = |kernel: Arc<dyn Kernel>, inputs: usize, row: fn([&[f64]; 4]) -> Vec<f64>| Case {
        kernel,
        clock: Clock::default(),
        inputs: (0..=inputs as u32).map(|stream| Values::Random { len: all, stream }).collect(),
        expected: Box::new(move |values| {
            let values: Vec<Vec<f64>> = values[..inputs].iter().map(Values::f64).collect();
            let rows = (0..all).step_by(columns).flat_map(|at| {
                row(std::array::from_fn(|i| {
                    values.get(i).map_or(&[][..], |values| &values[at..at + columns])
                }))
            });
            let mut expected = vec![None; inputs];
            expected.push(Some(rows.collect()));
            expected
        }),
        tolerance: 2e-6,
        size,
    };
    let tangent = SoftmaxTangent { rows, columns, scale, shift };
    [
        case(Arc::new(Softmax { rows, columns, scale }), 1, |[x, ..]| softmax(f64::from(0.7f32), x)),
        case(Arc::new(tangent), 2, |[p, a, ..]| {
            let product = product(p, a);
            product.iter().zip(a).map(|(y, a)| f64::from(0.7f32) * y + f64::from(0.2f32) * a).collect()
        }),
        // The derivative of `product` along both directions, by differences that are exact: it is of third degree.
        case(Arc::new(SoftmaxGradientTangent { rows, columns, scale }), 4, |[p, p1, a, a1]| {
            let at = |h: f64| {
                let moved = |x: &[f64], dx: &[f64]| x.iter().zip(dx).map(|(x, dx)| x + h * dx).collect();
                let (p, a): (Vec<f64>, Vec<f64>) = (moved(p, p1), moved(a, a1));
                product(&p, &a)
            };
            let [near, far] = [0.5, 1.0].map(|h| [at(h), at(-h)]);
            let slope = |i: usize| (8.0 * (near[0][i] - near[1][i]) - (far[0][i] - far[1][i])) / 6.0;
            (0..p.len()).map(|i| f64::from(0.7f32) * slope(i)).collect()
        }),
    ]
}
