//! Shapes for tests and benches, and the definitions in f64.

use super::{CrossEntropy, ExpectedValue, Projection, Support, TwoHot};
use crate::case::{bits, test_values};
use crate::value::cases::{actions_taken, discounts, importance_weights};
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for rows in [1, 3, 17] {
        for bins in [2, 3, 16, 17, 51, 64, 65, 130] {
            let support = Support { bins, smallest: -1.5, largest: 2.0 };
            cases.push(expected_value(ExpectedValue { rows, support }, 4.0, Size::Tiny));
            cases.push(two_hot(TwoHot { rows, support }, Size::Tiny));
            for actions in [1, 4] {
                let weighted = (rows + bins + actions) % 2 == 0;
                cases.push(cross_entropy(CrossEntropy { rows, actions, bins, weighted }, 4.0, Size::Tiny));
                cases.push(projection(Projection { rows, actions, support }, 4.0, Size::Tiny));
            }
        }
    }
    // Logits of which few count, and logits that are all equal.
    let support = Support { bins: 51, smallest: -10.0, largest: 12.0 };
    for scale in [300.0, 0.0] {
        cases.push(expected_value(ExpectedValue { rows: 9, support }, scale, Size::Tiny));
        let kernel = CrossEntropy { rows: 9, actions: 3, bins: 51, weighted: true };
        cases.push(cross_entropy(kernel, scale, Size::Tiny));
        let kernel = Projection { rows: 9, actions: 3, support };
        cases.push(projection(kernel, scale, Size::Tiny));
    }
    cases.extend([meaningless_cross_entropy(), meaningless_projection(), meaningless_two_hot()]);
    // Classification MDPs and BBF at their batches.
    for (rows, actions, largest) in [(32, 10, 110.0), (512, 10, 110.0), (32, 18, 10.0)] {
        let (support, bins) = (Support { bins: 51, smallest: -10.0, largest }, 51);
        cases.push(expected_value(ExpectedValue { rows: rows * actions, support }, 4.0, Size::Real));
        cases.push(two_hot(TwoHot { rows, support }, Size::Real));
        cases.push(cross_entropy(CrossEntropy { rows, actions, bins, weighted: false }, 4.0, Size::Real));
        cases.push(projection(Projection { rows, actions, support }, 4.0, Size::Real));
    }
    cases
}

fn logits(n: usize, scale: f32) -> Values {
    Values::F32(test_values(n, 1).into_iter().map(|v| v * scale).collect())
}

/// Values from below the support to above it, and its ends.
fn returns(rows: usize, support: Support) -> Values {
    let (middle, half) = ((support.largest + support.smallest) / 2.0, support.largest - support.smallest);
    let mut values: Vec<f32> =
        test_values(rows, 2).into_iter().map(|v| (middle + 0.7 * half * f64::from(v)) as f32).collect();
    for (value, end) in values.iter_mut().skip(1).zip([support.largest, support.smallest]) {
        *value = end as f32;
    }
    Values::F32(values)
}

fn log_softmax(z: &[f64]) -> Vec<f64> {
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = z.iter().map(|v| (v - largest).exp()).sum();
    z.iter().map(|v| v - largest - sum.ln()).collect()
}

/// Masses at values, each shared between the bins that overlap it.
fn projected(support: Support, masses: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    let mut distribution = vec![0.0; support.bins];
    for (value, mass) in masses {
        let value = value.clamp(support.smallest, support.largest);
        for (b, to) in distribution.iter_mut().enumerate() {
            let z = support.smallest + b as f64 * support.spacing();
            *to += mass * (1.0 - (value - z).abs() / support.spacing()).max(0.0);
        }
    }
    distribution
}

fn expected_value(kernel: ExpectedValue, scale: f32, size: Size) -> Case {
    let ExpectedValue { rows, support } = kernel;
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs: vec![logits(rows * support.bins, scale), Values::F32(vec![0.0; rows])],
        expected: Box::new(move |inputs| {
            let logits = inputs[0].f64();
            let value = logits.chunks(support.bins).map(|z| {
                let bins = log_softmax(z).into_iter().enumerate();
                bins.map(|(b, p)| p.exp() * (support.smallest + b as f64 * support.spacing())).sum()
            });
            vec![None, Some(value.collect())]
        }),
        // Where values cancel to about 0 the rounding is that of the ends of the support.
        tolerance: 2e-5,
        size,
    }
}

fn two_hot(kernel: TwoHot, size: Size) -> Case {
    let TwoHot { rows, support } = kernel;
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs: vec![returns(rows, support), Values::F32(vec![0.0; rows * support.bins])],
        expected: Box::new(move |inputs| {
            let target = inputs[0].f64().into_iter();
            let distribution = target.flat_map(|x| projected(support, std::iter::once((x, 1.0))));
            vec![None, Some(distribution.collect())]
        }),
        // A place among 130 bins is rounded to 1e-5.
        tolerance: 2e-5,
        size,
    }
}

fn projection(kernel: Projection, scale: f32, size: Size) -> Case {
    let Projection { rows, actions, support } = kernel;
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs: vec![
            logits(rows * actions * support.bins, scale),
            actions_taken(rows, actions),
            returns(rows, support),
            discounts(rows),
            Values::F32(vec![0.0; rows * support.bins]),
        ],
        expected: Box::new(move |inputs| {
            let [logits, action, reward, discount] = std::array::from_fn(|i| inputs[i].f64());
            let distribution = (0..rows).flat_map(|row| {
                let at = (row * actions + action[row] as usize) * support.bins;
                let bins = log_softmax(&logits[at..at + support.bins]).into_iter().enumerate();
                let z = |b: usize| support.smallest + b as f64 * support.spacing();
                projected(support, bins.map(|(b, p)| (reward[row] + discount[row] * z(b), p.exp())))
            });
            vec![None, None, None, None, Some(distribution.collect())]
        }),
        tolerance: 2e-5,
        size,
    }
}

/// Targets are squares scaled to sum 1.
fn cross_entropy(kernel: CrossEntropy, scale: f32, size: Size) -> Case {
    let CrossEntropy { rows, actions, bins, weighted } = kernel;
    let all = rows * actions * bins;
    let mut target = test_values(rows * bins, 4);
    for row in target.chunks_mut(bins) {
        row.iter_mut().for_each(|v| *v *= *v);
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= sum);
    }
    let mut inputs = vec![
        logits(all, scale),
        actions_taken(rows, actions),
        Values::F32(target),
        Values::F32(vec![0.0; all]),
        Values::F32(vec![0.0; rows]),
    ];
    inputs.extend(weighted.then(|| importance_weights(rows)));
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs,
        expected: Box::new(move |inputs| {
            let [logits, action, target] = std::array::from_fn(|i| inputs[i].f64());
            let weight = inputs.get(5).map_or(vec![1.0; rows], Values::f64);
            let (mut gradient, mut losses) = (vec![0.0; all], vec![0.0; rows]);
            for row in 0..rows {
                let at = (row * actions + action[row] as usize) * bins;
                for (b, p) in log_softmax(&logits[at..at + bins]).into_iter().enumerate() {
                    let mass = target[row * bins + b];
                    losses[row] -= mass * p;
                    gradient[at + b] = weight[row] * (p.exp() - mass) / rows as f64;
                }
            }
            vec![None, None, None, Some(gradient), Some(losses), None]
        }),
        tolerance: 5e-6,
        size,
    }
}

const NAN: f32 = f32::NAN;
const INFINITE: f32 = f32::INFINITY;

/// Two bins and one action: a NaN and an infinity among the logits, an action that is none, a NaN among the masses. The
/// last row is good and its gradient exact, for equal logits are shares of one half.
fn meaningless_cross_entropy() -> Case {
    let logits = [[NAN, 1.0], [1.0, -INFINITE], [1.0, 1.0], [1.0, 1.0]];
    let kernel = CrossEntropy { rows: 4, actions: 1, bins: 2, weighted: false };
    Case {
        inputs: vec![
            Values::F32(logits.concat()),
            Values::U32(vec![0, 0, 1, 0]),
            Values::F32(vec![0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.75]),
            Values::U32(vec![0; 8]),
            Values::F32(vec![0.0; 4]),
        ],
        expected: Box::new(|_| {
            let gradient = [NAN, NAN, NAN, NAN, NAN, NAN, 0.0625, -0.0625];
            vec![None, None, None, Some(bits(&gradient)), Some(vec![f64::NAN, f64::NAN, f64::NAN, 2f64.ln()])]
        }),
        tolerance: 1e-6,
        ..cross_entropy(kernel, 1.0, Size::Tiny)
    }
}

/// A NaN among the logits, an action that is none, both of them behind the end of an episode, a NaN as reward, one behind
/// the end, a good row.
fn meaningless_projection() -> Case {
    let support = Support { bins: 2, smallest: 0.0, largest: 1.0 };
    let kernel = Projection { rows: 6, actions: 1, support };
    let logits = [[NAN, 1.0], [1.0, 1.0], [NAN, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]];
    Case {
        inputs: vec![
            Values::F32(logits.concat()),
            Values::U32(vec![0, 1, 1, 0, 0, 0]),
            Values::F32(vec![0.0, 0.0, 0.25, NAN, INFINITE, 0.5]),
            Values::F32(vec![0.5, 0.5, 0.0, 0.5, 0.0, 0.5]),
            Values::U32(vec![0; 12]),
        ],
        expected: Box::new(|_| {
            // Half of the mass at 0.5, half at 1.
            let distribution = [NAN, NAN, NAN, NAN, 0.75, 0.25, NAN, NAN, NAN, NAN, 0.25, 0.75];
            vec![None, None, None, None, Some(bits(&distribution))]
        }),
        tolerance: 0.0,
        ..projection(kernel, 1.0, Size::Tiny)
    }
}

fn meaningless_two_hot() -> Case {
    let support = Support { bins: 3, smallest: 0.0, largest: 2.0 };
    Case {
        inputs: vec![Values::F32(vec![NAN, INFINITE, -INFINITE, 1e30, 0.25]), Values::U32(vec![0; 15])],
        expected: Box::new(|_| {
            let distribution = [NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0.0, 0.0, 1.0, 0.75, 0.25, 0.0];
            vec![None, Some(bits(&distribution))]
        }),
        tolerance: 0.0,
        ..two_hot(TwoHot { rows: 5, support }, Size::Tiny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::case::check_gradient;
    use approx::assert_abs_diff_eq;

    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(cases());
    }

    #[test]
    fn the_gradient_is_that_of_the_weighted_mean_loss() {
        let kernel = CrossEntropy { rows: 3, actions: 2, bins: 5, weighted: true };
        let mut case = cross_entropy(kernel, 2.0, Size::Tiny);
        let dlogits = case.run_on_cpu(&Cpu::new(1).unwrap()).swap_remove(3);
        check_gradient(&mut case, 0, &bytemuck::cast_vec(dlogits), |buffers| {
            let floats = |i: usize| buffers[i].iter().map(|&word| f64::from(f32::from_bits(word)));
            floats(4).zip(floats(5)).map(|(loss, weight)| loss * weight).sum::<f64>() / 3.0
        });
    }

    #[test]
    fn the_mean_of_a_projection_is_the_target_of_the_mean() {
        // Wide enough that nothing is clipped.
        let support = Support { bins: 51, smallest: -40.0, largest: 40.0 };
        let kernel = Projection { rows: 7, actions: 1, support };
        let mut case = projection(kernel, 3.0, Size::Tiny);
        let reward = test_values(7, 5);
        case.inputs[2] = Values::F32(reward.clone());
        case.inputs[3] = Values::F32((0..7).map(|row| [0.25, 0.0, 0.5][row % 3]).collect());
        let distribution = case.run_on_cpu(&Cpu::new(1).unwrap()).swap_remove(4);
        let (logits, discount) = (case.inputs[0].f64(), case.inputs[3].f64());
        let mean = |masses: &mut dyn Iterator<Item = f64>| -> f64 {
            masses.enumerate().map(|(b, p)| p * (support.smallest + b as f64 * support.spacing())).sum()
        };
        for (row, masses) in distribution.chunks(support.bins).enumerate() {
            let of_next = mean(&mut log_softmax(&logits[row * 51..][..51]).into_iter().map(f64::exp));
            let bootstrap = discount[row] * of_next;
            let of_target = mean(&mut masses.iter().map(|&mass| f64::from(f32::from_bits(mass))));
            let expected = f64::from(reward[row]) + bootstrap;
            assert_abs_diff_eq!(of_target, expected, epsilon = 1e-4);
        }
    }
}
