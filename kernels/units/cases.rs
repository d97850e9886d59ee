//! Shapes for tests and benches.

use super::{Dormant, Recycle, Renewed};
use crate::case::test_values;
use crate::random::{pcg4d, stream, unit};
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

const CLOCK: Clock = Clock {
    seed: 5,
    step: 77,
    epoch: 0,
    cursor: 0,
    learning_rate: 0.0,
    bias_correction1: 0.0,
    bias_correction2_sqrt: 0.0,
    slot: 0,
    appended: 0,
};

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for units in [1, 2, 3, 5, 63, 64, 255, 256, 257, 1000] {
        for threshold in [0.0, 0.1, 0.5, 3.0] {
            cases.push(dormant(units, threshold, Size::Tiny));
        }
    }
    let ragged = [
        [1, 1, 1],
        [1, 5, 1],
        [3, 5, 1],
        [7, 64, 1],
        [9, 20, 1],
        [1, 3, 7],
        [1, 10, 784],
        [9, 5, 12],
        [9, 7, 33],
        [2, 100, 200],
        [301, 65, 1],
    ];
    let renewed = [
        Renewed::Constant(0.0),
        Renewed::Constant(1.5),
        Renewed::Uniform { bound: 0.25, tensor: 3 },
        Renewed::Normal { deviation: 0.5, tensor: 4 },
    ];
    for shape in ragged {
        cases.extend(renewed.map(|renewed| recycle(shape, renewed, 3, Size::Tiny)));
    }
    // Filters of a ResNet by output and by input, matrices of VGG's head the same way; all units dormant.
    for shape in [[9 * 256, 512, 1], [9, 512, 512], [1, 1024, 2048], [1024 * 4, 512, 1]] {
        cases.extend(
            [renewed[0], renewed[2], renewed[3]].map(|renewed| recycle(shape, renewed, 1, Size::Real)),
        );
    }
    cases
}

/// Squares, so that scores spread from near 0 to 3; some units do nothing.
fn dormant(units: usize, threshold: f32, size: Size) -> Case {
    let values = 640;
    let activity = test_values(units, 1).into_iter().enumerate();
    let activity = activity.map(|(u, v)| if u % 5 == 3 { 0.0 } else { 640.0 * v * v }).collect();
    Case {
        kernel: Arc::new(Dormant { units, values, threshold }),
        clock: CLOCK,
        inputs: vec![Values::F32(activity), Values::U32(vec![0; units]), Values::U32(vec![0])],
        expected: Box::new(move |inputs| {
            let mean: Vec<f64> = inputs[0].f64().iter().map(|sum| sum / values as f64).collect();
            let of_layer = mean.iter().sum::<f64>() / units as f64;
            let score = mean.iter().map(|mean| mean / (of_layer + 1e-9));
            let dormant: Vec<f64> = score.map(|score| f64::from(score <= f64::from(threshold))).collect();
            let count = dormant.iter().sum();
            vec![None, Some(dormant), Some(vec![count])]
        }),
        tolerance: 0.0,
        size,
    }
}

/// One unit of `every` is dormant.
fn recycle([outer, units, inner]: [usize; 3], renewed: Renewed, every: usize, size: Size) -> Case {
    let len = outer * units * inner;
    let dormant = (0..units).map(|u| u32::from(u % every == 0)).collect();
    Case {
        kernel: Arc::new(Recycle { outer, units, inner, renewed }),
        clock: CLOCK,
        inputs: vec![Values::U32(dormant), Values::Random { len, stream: 2 }],
        expected: Box::new(move |inputs| {
            let (dormant, mut target) = (inputs[0].f64(), inputs[1].f64());
            for (i, value) in target.iter_mut().enumerate() {
                if dormant[i / inner % units] != 0.0 {
                    *value = match renewed {
                        Renewed::Constant(constant) => f64::from(constant),
                        Renewed::Uniform { bound, tensor } => {
                            let counter = [i as u32 / 4, CLOCK.step, stream::RECYCLE + tensor, CLOCK.seed];
                            f64::from((2.0 * unit(pcg4d(counter)[i % 4]) - 1.0) * bound)
                        }
                        Renewed::Normal { deviation, tensor } => {
                            let counter = [i as u32 / 4, CLOCK.step, stream::RECYCLE + tensor, CLOCK.seed];
                            let share = |word: u32| f64::from(word >> 8) / f64::from(1 << 24);
                            let pair = &pcg4d(counter)[i % 4 / 2 * 2..][..2];
                            let radius = (-2.0 * (share(pair[0]) + 1.0 / f64::from(1 << 24)).ln()).sqrt();
                            let angle = std::f64::consts::TAU * share(pair[1]);
                            let direction = [angle.cos(), angle.sin()][i % 2];
                            f64::from(deviation) * radius * direction
                        }
                    };
                }
            }
            vec![None, Some(target)]
        }),
        tolerance: if matches!(renewed, Renewed::Normal { .. }) { 1e-6 } else { 0.0 },
        size,
    }
}
