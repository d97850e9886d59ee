//! Lengths for tests and benches.

use super::Dropout;
use crate::case::test_values;
use crate::random::{pcg4d, stream, unit};
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let tiny = [1, 3, 5, 17, 63, 65, 257, 1025, 4099];
    let mut cases: Vec<_> = tiny.map(|len| case(len, 0.3, len as u32, Size::Tiny)).into();
    cases.extend([0.0, 0.5, 0.9, 1.0].map(|rate| case(1000, rate, 2, Size::Tiny)));
    // ViT-Tiny's activations at batch 256, and an MLP's.
    cases.extend([256 * 65 * 192, 256 * 512].map(|len| case(len, 0.1, 7, Size::Real)));
    cases
}

fn case(len: usize, rate: f32, layer: u32, size: Size) -> Case {
    let clock = Clock { seed: 11, step: 70_001, ..Clock::default() };
    Case {
        kernel: Arc::new(Dropout { len, rate, layer }),
        clock,
        inputs: vec![Values::F32(test_values(len, 1)), Values::F32(vec![0.0; len])],
        expected: Box::new(move |inputs| {
            let y = inputs[0].f64().into_iter().enumerate().map(|(i, x)| {
                let counter = [i as u32 / 4, clock.step, stream::DROPOUT + layer, clock.seed];
                let kept = unit(pcg4d(counter)[i % 4]) >= rate;
                if kept { x / (1.0 - f64::from(rate)) } else { 0.0 }
            });
            vec![None, Some(y.collect())]
        }),
        tolerance: 1e-6,
        size,
    }
}
