//! Shapes for tests and benches.

use super::ColumnSum;
use crate::case::test_values;
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let tiny = [1, 3, 5, 16, 17, 40, 65, 84, 257].map(|columns| (7, columns));
    let rows = [(1, 5), (256, 10), (1024, 3), (1025, 6), (1100, 5), (1300, 20), (2100, 3), (9001, 2)];
    // The MLPs' biases, one of their last batches, and a convolution's bias.
    let real = [(256, 512), (256, 256), (256, 100), (96, 112), (65_536, 64)];
    tiny.into_iter()
        .chain(rows)
        .map(|shape| case(shape, Size::Tiny))
        .chain(real.map(|shape| case(shape, Size::Real)))
        .collect()
}

fn case((rows, columns): (usize, usize), size: Size) -> Case {
    Case {
        kernel: Arc::new(ColumnSum { rows, columns }),
        clock: Clock::default(),
        inputs: vec![Values::F32(test_values(rows * columns, 1)), Values::F32(vec![0.0; columns])],
        expected: Box::new(move |inputs| {
            let x = inputs[0].f64();
            let sum = |c: usize| (0..rows).map(|r| x[r * columns + c]).sum();
            vec![None, Some((0..columns).map(sum).collect())]
        }),
        tolerance: 2e-6,
        size,
    }
}
