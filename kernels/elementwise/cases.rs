//! Lengths for tests and benches.

use super::{Add, Relu, ReluBackward};
use crate::case::test_values;
use crate::{Case, Clock, Kernel, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let tiny = [1, 3, 4, 5, 16, 17, 65, 257, 1025, 4097];
    // Activations of the MLPs, and of a convolution.
    let real = [256 * 512, 256 * 256, 256 * 100, 96 * 112, 65_536 * 64];
    let lengths = tiny.map(|n| (n, Size::Tiny)).into_iter().chain(real.map(|n| (n, Size::Real)));
    lengths
        .flat_map(|(len, size)| {
            [
                case(Arc::new(Relu { len }), len, size, |v, i| v[0][i].max(0.0)),
                case(
                    Arc::new(ReluBackward { len }),
                    len,
                    size,
                    |v, i| if v[0][i] > 0.0 { v[1][i] } else { 0.0 },
                ),
                case(Arc::new(Add { len }), len, size, |v, i| f64::from((v[0][i] + v[1][i]) as f32)),
            ]
        })
        .collect()
}

/// All of these are exact on every device.
fn case(kernel: Arc<dyn Kernel>, len: usize, size: Size, definition: fn(&[Vec<f64>], usize) -> f64) -> Case {
    let buffers = kernel.bindings().len();
    // Every eighth element is zero, where ReLU and its gradient could differ.
    let values = |stream| {
        let sparse = |(i, v)| if i % 8 == 7 { 0.0 } else { v };
        Values::F32(test_values(len, stream).into_iter().enumerate().map(sparse).collect())
    };
    Case {
        kernel,
        clock: Clock::default(),
        inputs: (0..buffers as u32).map(values).collect(),
        expected: Box::new(move |inputs| {
            let values: Vec<_> = inputs.iter().map(Values::f64).collect();
            let mut expected = vec![None; buffers];
            expected[buffers - 1] = Some((0..len).map(|i| definition(&values, i)).collect());
            expected
        }),
        tolerance: 0.0,
        size,
    }
}
