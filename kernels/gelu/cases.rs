//! Lengths for tests and benches, and the definition in f64.

use super::{Gelu, GeluBackward, GeluGradientTangent};
use crate::case::test_values;
use crate::dropout::Mask;
use crate::math::erf_defined;
use crate::{Case, Clock, Kernel, Size, Values};
use std::f64::consts::PI;
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let tiny = [1, 3, 5, 16, 17, 65, 255, 257, 1025];
    // The hidden activations of ViT-Tiny at batch 64.
    let lengths = tiny.map(|len| (len, Size::Tiny)).into_iter().chain([(64 * 65 * 768, Size::Real)]);
    let tangents = tiny.map(|len| (len, Size::Tiny)).into_iter().chain([(64 * 65 * 768, Size::Real)]);
    let tangents: Vec<Case> = tangents.map(|(len, size)| gradient_tangent(len, size)).collect();
    lengths
        .flat_map(|(len, size)| {
            let masks = [None, Some(Mask { rate: 0.3, layer: len as u32 % 100 })];
            masks.into_iter().flat_map(move |mask| {
                [
                    case(Arc::new(Gelu { len, mask }), len, mask, false, size),
                    case(Arc::new(GeluBackward { len, mask }), len, mask, true, size),
                ]
            })
        })
        .chain(tangents)
        .collect()
}

fn gradient_tangent(len: usize, size: Size) -> Case {
    Case {
        kernel: Arc::new(GeluGradientTangent { len }),
        clock: Clock::default(),
        inputs: (1..=5).map(|stream| Values::Random { len, stream }).collect(),
        expected: Box::new(move |inputs| {
            let [x, x_tangent, dy, dy_tangent] = std::array::from_fn(|i| inputs[i].f64());
            let step = if len > 100_000 { 997 } else { 1 };
            let value = |i: usize| {
                if !i.is_multiple_of(step) {
                    return f64::NAN;
                }
                let density = (-0.5 * x[i] * x[i]).exp() / (2.0 * PI).sqrt();
                let slope = 0.5 * (1.0 + erf_defined(x[i] / 2f64.sqrt())) + x[i] * density;
                slope * dy_tangent[i] + density * (2.0 - x[i] * x[i]) * x_tangent[i] * dy[i]
            };
            vec![None, None, None, None, Some((0..len).map(value).collect())]
        }),
        tolerance: 2e-6,
        size,
    }
}

fn case(kernel: Arc<dyn Kernel>, len: usize, mask: Option<Mask>, backward: bool, size: Size) -> Case {
    let clock = Clock { seed: 3, step: 9_000, ..Clock::default() };
    let tail = |(i, x)| if i == 0 { x } else { 5.0 * x };
    let mut inputs = vec![match size {
        // From -5 to 5: both tails. In the lower one the error is that of the terms that cancel, as in PyTorch: the first
        // value lies between them, so that a case of one has something to compare with.
        Size::Tiny => Values::F32((0..).zip(test_values(len, 1)).map(tail).collect()),
        Size::Real => Values::Random { len, stream: 1 },
    }];
    inputs.extend(backward.then_some(Values::Random { len, stream: 2 }));
    inputs.push(Values::Random { len, stream: 3 });
    Case {
        kernel,
        clock,
        inputs,
        expected: Box::new(move |inputs| {
            let (x, dy) = (inputs[0].f64(), inputs[1].f64());
            // Of large cases a sample is enough.
            let step = if len > 100_000 { 997 } else { 1 };
            let value = |i: usize| {
                if !i.is_multiple_of(step) {
                    return f64::NAN;
                }
                let below = 0.5 * (1.0 + erf_defined(x[i] / 2f64.sqrt()));
                let factor = mask.map_or(1.0, |mask| mask.definition(&clock, i as u32 / 4, i % 4));
                let value = match backward {
                    true => dy[i] * (below + x[i] * (-0.5 * x[i] * x[i]).exp() / (2.0 * PI).sqrt()),
                    false => x[i] * below,
                };
                factor * value
            };
            let mut expected = vec![None; inputs.len() - 1];
            expected.push(Some((0..len).map(value).collect()));
            expected
        }),
        tolerance: 2e-6,
        size,
    }
}
