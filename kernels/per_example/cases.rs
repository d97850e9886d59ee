//! Shapes for tests and benches, and the definitions in f64.

use super::{OuterNorms, Scatter, SquaredNorms};
use crate::{Case, Clock, Kernel, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // Rows, columns, words of a row, offset.
    for (rows, columns, words, offset, size) in [
        (1, 1, 64, 0, Size::Tiny),
        (3, 5, 64, 59, Size::Tiny),
        (7, 130, 320, 128, Size::Tiny),
        (66, 33, 192, 64, Size::Tiny),
        (5, 600, 640, 0, Size::Tiny),
        (16, 131_072, 537_600, 401_984, Size::Real),
    ] {
        cases.push(scatter(Scatter { rows, columns, words, offset, scale: rows as f32 }, size));
        for add in [false, true] {
            cases.push(squared_norms(SquaredNorms { rows, columns, scale: rows as f32, add }, size));
        }
    }
    for (rows, outputs, inputs, size) in [
        (1, 1, 1, Size::Tiny),
        (3, 5, 17, Size::Tiny),
        (67, 10, 300, Size::Tiny),
        (9, 257, 4, Size::Tiny),
        (512, 512, 784, Size::Real),
    ] {
        for add in [false, true] {
            cases.push(outer_norms(OuterNorms { rows, outputs, inputs, scale: 0.5, add }, size));
        }
    }
    cases
}

fn case(
    kernel: impl Kernel + 'static,
    size: Size,
    define: impl Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync + 'static,
) -> Case {
    let inputs: Vec<Values> = (1..)
        .zip(kernel.bindings())
        .map(|(stream, binding)| Values::Random { len: binding.words, stream })
        .collect();
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        expected: Box::new(move |inputs| {
            let mut expected = vec![None; inputs.len() - 1];
            expected.push(Some(define(&inputs.iter().map(Values::f64).collect::<Vec<_>>())));
            expected
        }),
        inputs,
        tolerance: 1e-6,
        size,
    }
}

fn scatter(kernel: Scatter, size: Size) -> Case {
    let Scatter { columns, words, offset, scale, .. } = kernel;
    case(kernel, size, move |inputs| {
        let mut rows = inputs[1].clone();
        for (i, g) in inputs[0].iter().enumerate() {
            rows[i / columns * words + offset + i % columns] = f64::from(scale) * g;
        }
        rows
    })
}

/// `Σ_c m[n, c]²`.
fn square(matrix: &[f64], columns: usize, n: usize) -> f64 {
    matrix[n * columns..(n + 1) * columns].iter().map(|value| value * value).sum()
}

fn squared_norms(kernel: SquaredNorms, size: Size) -> Case {
    let SquaredNorms { rows, columns, scale, add } = kernel;
    case(kernel, size, move |inputs| {
        let before = |n: usize| if add { inputs[1][n] } else { 0.0 };
        (0..rows).map(|n| before(n) + f64::from(scale).powi(2) * square(&inputs[0], columns, n)).collect()
    })
}

fn outer_norms(kernel: OuterNorms, size: Size) -> Case {
    let OuterNorms { rows, outputs, inputs: width, scale, add } = kernel;
    case(kernel, size, move |inputs| {
        let norm = |n: usize| {
            let before = if add { inputs[2][n] } else { 0.0 };
            // Every element of the outer product.
            let products = (0..outputs).flat_map(|i| (0..width).map(move |j| (i, j)));
            let element =
                |(i, j): (usize, usize)| (inputs[0][n * outputs + i] * inputs[1][n * width + j]).powi(2);
            before + f64::from(scale).powi(2) * products.map(element).sum::<f64>()
        };
        (0..rows).map(norm).collect()
    })
}
