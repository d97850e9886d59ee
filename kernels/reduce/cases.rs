//! Shapes for tests and benches.

use super::{Activity, ActivitySum, ColumnSum};
use crate::case::test_values;
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let tiny = [1, 3, 5, 16, 17, 40, 65, 84, 257].map(|columns| (7, columns));
    let rows = [(1, 5), (256, 10), (1024, 3), (1025, 6), (1100, 5), (1300, 20), (2100, 3), (9001, 2)];
    // The MLPs' biases, one of their last batches, and a convolution's bias.
    let real = [(256, 512), (256, 256), (256, 100), (96, 112), (65_536, 64)];
    // Activations of the MLP, of a ResNet's first and last blocks, and of ViT's hidden layers.
    let active = [(256, 512), (262_144, 64), (4096, 512), (16_640, 768)];
    // One sum for each example: a linear layer's bias, a convolution's, one with more rows than a workgroup takes at once.
    let groups = [
        ((7, 5), 7, Size::Tiny),
        ((12, 17), 4, Size::Tiny),
        ((66, 8), 3, Size::Tiny),
        ((2100, 3), 2, Size::Tiny),
        ((130, 20), 65, Size::Tiny),
        ((65_536, 64), 64, Size::Real),
    ];
    let activities =
        |shape, size| [Activity::Magnitude, Activity::NonZero].map(|of| activity(shape, of, size));
    tiny.into_iter()
        .chain(rows)
        .map(|shape| case(shape, 1, Size::Tiny))
        .chain(real.map(|shape| case(shape, 1, Size::Real)))
        .chain(groups.map(|(shape, groups, size)| case(shape, groups, size)))
        .chain(tiny.into_iter().chain(rows).flat_map(|shape| activities(shape, Size::Tiny)))
        .chain(active.into_iter().flat_map(|shape| activities(shape, Size::Real)))
        .collect()
}

fn case((rows, columns): (usize, usize), groups: usize, size: Size) -> Case {
    Case {
        kernel: Arc::new(ColumnSum { rows, columns, groups }),
        clock: Clock::default(),
        inputs: vec![Values::F32(test_values(rows * columns, 1)), Values::F32(vec![0.0; groups * columns])],
        expected: Box::new(move |inputs| {
            let x = inputs[0].f64();
            let each = rows / groups;
            let sum = |i: usize| {
                let (group, c) = (i / columns, i % columns);
                (group * each..(group + 1) * each).map(|r| x[r * columns + c]).sum()
            };
            vec![None, Some((0..groups * columns).map(sum).collect())]
        }),
        tolerance: 2e-6,
        size,
    }
}

/// About a third of the values are 0, some of them negative zeros.
fn activity((rows, columns): (usize, usize), of: Activity, size: Size) -> Case {
    let sparse = |v: f32| if v.abs() < 0.33 { 0.0 * v } else { v };
    let x = test_values(rows * columns, 1).into_iter().map(sparse).collect();
    Case {
        kernel: Arc::new(ActivitySum { rows, columns, of }),
        clock: Clock::default(),
        inputs: vec![Values::F32(x), Values::F32((0..columns).map(|c| (c % 7) as f32).collect())],
        expected: Box::new(move |inputs| {
            let (x, before) = (inputs[0].f64(), inputs[1].f64());
            let term = |v: f64| match of {
                Activity::Magnitude => v.abs(),
                Activity::NonZero => f64::from(u8::from(v != 0.0)),
            };
            let sum = |c: usize| before[c] + (0..rows).map(|r| term(x[r * columns + c])).sum::<f64>();
            vec![None, Some((0..columns).map(sum).collect())]
        }),
        tolerance: if of == Activity::NonZero { 0.0 } else { 2e-6 },
        size,
    }
}
