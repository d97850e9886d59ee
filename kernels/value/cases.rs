//! Shapes for tests and benches, and the definitions in f64.

use super::{Criterion, GreedyAction, RecordValues, Regression, RegressionTangent, TdLoss, TdTarget};
use crate::case::{bits, test_values};
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

const CRITERIA: [Criterion; 5] = [
    Criterion::Squared,
    Criterion::Huber { threshold: 1.0 },
    Criterion::Huber { threshold: 0.3 },
    Criterion::Expectile { expectile: 0.7 },
    Criterion::Expectile { expectile: 0.05 },
];

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for rows in [1, 3, 65, 130] {
        for actions in [1, 2, 3, 10, 18, 33] {
            for (index, criterion) in CRITERIA.into_iter().enumerate() {
                let weighted = (rows + actions + index) % 2 == 0;
                cases.push(td_loss(TdLoss { rows, actions, criterion, weighted }, Size::Tiny));
            }
            for double in [false, true] {
                cases.push(td_target(TdTarget { rows, actions, double }, Size::Tiny));
            }
            cases.push(greedy_action(rows, actions, Size::Tiny));
            // Row 7 lies outside.
            for slot in [0, 2, 7] {
                cases.push(record(rows, actions, slot, Size::Tiny));
            }
        }
        for columns in [1, 2, 10, 17, 32, 33, 64, 65, 300] {
            for (index, criterion) in CRITERIA.into_iter().enumerate() {
                let weighted = (rows + columns + index) % 2 == 0;
                cases.push(regression(Regression { rows, columns, criterion, weighted }, Size::Tiny));
            }
        }
    }
    for len in [1, 5, 64, 257, 1025] {
        cases.extend(CRITERIA.map(|criterion| regression_tangent(RegressionTangent { len, criterion })));
    }
    cases.extend([meaningless_td_loss(), meaningless_regression(), meaningless_td_target()]);
    // Classification MDPs and Atari's games at their batches, and a probe task on all states.
    for (rows, actions) in [(32, 10), (512, 10), (32, 18), (2048, 10)] {
        let (criterion, weighted) = (Criterion::Squared, false);
        cases.push(td_loss(TdLoss { rows, actions, criterion, weighted }, Size::Real));
        cases.push(td_target(TdTarget { rows, actions, double: true }, Size::Real));
        cases.push(greedy_action(rows, actions, Size::Real));
        cases.push(record(rows, actions, 5, Size::Real));
        cases.push(regression(Regression { rows, columns: actions, criterion, weighted }, Size::Real));
    }
    cases
}

fn record(rows: usize, actions: usize, slot: u32, size: Size) -> Case {
    let (ring_rows, words) = (7, 4);
    Case {
        kernel: Arc::new(RecordValues { rows, actions, ring_rows, words }),
        clock: Clock { slot, ..Clock::default() },
        inputs: vec![
            Values::F32(test_values(rows, 1).into_iter().map(|v| v + 1.5).collect()),
            Values::F32(values(rows * actions, 2).into_iter().map(|v| v + 3.0).collect()),
            Values::F32(test_values(ring_rows * words, 3)),
        ],
        expected: Box::new(move |inputs| {
            let [loss, q, mut ring] = std::array::from_fn(|i| inputs[i].f64());
            let largest = q.chunks(actions).map(|q| q.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            if (slot as usize) < ring_rows {
                let row = &mut ring[slot as usize * words..];
                row[0] = loss.iter().sum::<f64>() / rows as f64;
                row[1] = largest.sum::<f64>() / rows as f64;
            }
            vec![None, None, Some(ring)]
        }),
        tolerance: 1e-6,
        size,
    }
}

/// Values in ±2, in steps so coarse that some are equal.
fn values(n: usize, stream: u32) -> Vec<f32> {
    test_values(n, stream).into_iter().map(|v| (v * 20.0).round() / 10.0).collect()
}

/// The action taken in each row.
pub(crate) fn actions_taken(rows: usize, actions: usize) -> Values {
    Values::U32((0..rows).map(|row| ((row * 7 + 3) % actions) as u32).collect())
}

/// Discounts of which every third is 0, that of a transition that terminated.
pub(crate) fn discounts(rows: usize) -> Values {
    Values::F32((0..rows).map(|row| [0.99, 0.729, 0.0, 1.0, 0.3, 0.0][row % 6]).collect())
}

/// A weight of each row's loss.
pub(crate) fn importance_weights(rows: usize) -> Values {
    Values::F32(test_values(rows, 3).into_iter().map(f32::abs).collect())
}

/// Loss and its derivative with respect to the error.
fn defined(criterion: Criterion, error: f64) -> [f64; 2] {
    match criterion {
        Criterion::Squared => [error.powi(2), 2.0 * error],
        Criterion::Huber { threshold } if error.abs() > threshold => {
            [threshold * (error.abs() - threshold / 2.0), threshold * error.signum()]
        }
        Criterion::Huber { .. } => [error.powi(2) / 2.0, error],
        Criterion::Expectile { expectile } => {
            let side = if error < 0.0 { 1.0 } else { 0.0 };
            let weight = (expectile - side).abs();
            [weight * error.powi(2), 2.0 * weight * error]
        }
    }
}

fn td_loss(kernel: TdLoss, size: Size) -> Case {
    let TdLoss { rows, actions, criterion, weighted } = kernel;
    let mut inputs = vec![
        Values::F32(values(rows * actions, 1)),
        actions_taken(rows, actions),
        Values::F32(test_values(rows, 2).into_iter().map(|v| 2.0 * v).collect()),
        Values::F32(vec![0.0; rows * actions]),
        Values::F32(vec![0.0; rows]),
        Values::F32(vec![0.0; rows]),
    ];
    inputs.extend(weighted.then(|| importance_weights(rows)));
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs,
        expected: Box::new(move |inputs| {
            let [q, action, target] = std::array::from_fn(|i| inputs[i].f64());
            let weight = inputs.get(6).map_or(vec![1.0; rows], Values::f64);
            let (mut gradient, mut losses, mut errors) = (vec![0.0; rows * actions], Vec::new(), Vec::new());
            for row in 0..rows {
                let at = row * actions + action[row] as usize;
                let error = target[row] - q[at];
                let [loss, slope] = defined(criterion, error);
                gradient[at] = -weight[row] * slope / rows as f64;
                losses.push(loss);
                errors.push(error);
            }
            vec![None, None, None, Some(gradient), Some(losses), Some(errors), None]
        }),
        tolerance: 1e-6,
        size,
    }
}

/// Errors lie on a grid and not on a threshold, so that a small step along the direction crosses none.
fn regression_tangent(kernel: RegressionTangent) -> Case {
    let RegressionTangent { len, criterion } = kernel;
    let between =
        |stream| Values::F32(values(len, stream).iter().map(|v| v + 0.025 * stream as f32).collect());
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs: vec![between(1), between(2), Values::Random { len, stream: 3 }, Values::F32(vec![0.0; len])],
        expected: Box::new(move |inputs| {
            let [predicted, target, tangent] = std::array::from_fn(|i| inputs[i].f64());
            let slope = |i: usize, h: f64| -defined(criterion, target[i] - predicted[i] - h)[1] / len as f64;
            let moved = |i: usize| (slope(i, 1e-3) - slope(i, -1e-3)) / 2e-3 * tangent[i];
            vec![None, None, None, Some((0..len).map(moved).collect())]
        }),
        tolerance: 1e-6,
        size: Size::Tiny,
    }
}

fn regression(kernel: Regression, size: Size) -> Case {
    let Regression { rows, columns, criterion, weighted } = kernel;
    let all = rows * columns;
    let mut inputs = vec![
        Values::F32(values(all, 1)),
        Values::F32(test_values(all, 2)),
        Values::F32(vec![0.0; all]),
        Values::F32(vec![0.0; rows]),
    ];
    inputs.extend(weighted.then(|| importance_weights(rows)));
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs,
        expected: Box::new(move |inputs| {
            let [predicted, target] = std::array::from_fn(|i| inputs[i].f64());
            let weight = inputs.get(4).map_or(vec![1.0; rows], Values::f64);
            let (mut gradient, mut losses) = (Vec::new(), vec![0.0; rows]);
            for i in 0..all {
                let [loss, slope] = defined(criterion, target[i] - predicted[i]);
                losses[i / columns] += loss / columns as f64;
                gradient.push(-weight[i / columns] * slope / all as f64);
            }
            vec![None, None, Some(gradient), Some(losses), None]
        }),
        tolerance: 1e-6,
        size,
    }
}

/// The first of the largest.
fn argmax(q: &[f64]) -> usize {
    let largest = q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    q.iter().position(|&v| v == largest).unwrap_or(0)
}

fn td_target(kernel: TdTarget, size: Size) -> Case {
    let TdTarget { rows, actions, double } = kernel;
    let mut inputs = vec![
        Values::F32(values(rows * actions, 1)),
        Values::F32(test_values(rows, 2)),
        discounts(rows),
        Values::F32(vec![0.0; rows]),
    ];
    inputs.extend(double.then(|| Values::F32(values(rows * actions, 4))));
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs,
        expected: Box::new(move |inputs| {
            let [next, reward, discount] = std::array::from_fn(|i| inputs[i].f64());
            let selector = inputs.get(4).map_or(next.clone(), Values::f64);
            let target = (0..rows).map(|row| {
                let all = row * actions..(row + 1) * actions;
                let bootstrap = next[all.clone()][argmax(&selector[all])];
                reward[row] + discount[row] * bootstrap
            });
            vec![None, None, None, Some(target.collect()), None]
        }),
        tolerance: 1e-6,
        size,
    }
}

/// With NaN at places, and as all values of the second row, if there is one.
fn greedy_action(rows: usize, actions: usize, size: Size) -> Case {
    let mut q = values(rows * actions, 1);
    q.iter_mut().skip(5).step_by(7).for_each(|value| *value = f32::NAN);
    q[0] = f32::NEG_INFINITY;
    q.iter_mut().skip(actions).take(actions).for_each(|value| *value = f32::NAN);
    Case {
        kernel: Arc::new(GreedyAction { rows, actions }),
        clock: Clock::default(),
        inputs: vec![Values::F32(q), Values::U32(vec![0; rows])],
        expected: Box::new(move |inputs| {
            let q = inputs[0].f64();
            vec![None, Some(q.chunks(actions).map(|row| argmax(row) as f64).collect())]
        }),
        tolerance: 0.0,
        size,
    }
}

const NAN: f32 = f32::NAN;
const INFINITE: f32 = f32::INFINITY;

/// A NaN at the action taken, one elsewhere, an infinite target, actions that are none, a NaN as target, good rows. All
/// numbers are exact.
fn meaningless_td_loss() -> Case {
    let q = [[NAN, 1.0], [NAN, 1.0], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0], [1.0, NAN], [0.0, 0.0]];
    let (rows, actions) = (q.len(), 2);
    let kernel = TdLoss { rows, actions, criterion: Criterion::Squared, weighted: false };
    Case {
        inputs: vec![
            Values::F32(q.concat()),
            Values::U32(vec![0, 1, 0, 2, u32::MAX, 1, 0, 1]),
            Values::F32(vec![0.0, 2.0, INFINITE, 0.0, 0.0, NAN, -1.0, 0.5]),
            Values::U32(vec![0; rows * actions]),
            Values::U32(vec![0; rows]),
            Values::U32(vec![0; rows]),
        ],
        expected: Box::new(|_| {
            let gradient =
                [[NAN; 2], [0.0, -0.25], [NAN; 2], [NAN; 2], [NAN; 2], [NAN; 2], [0.5, 0.0], [0.0, -0.125]];
            let loss = [NAN, 1.0, NAN, NAN, NAN, NAN, 4.0, 0.25];
            let error = [NAN, 1.0, NAN, NAN, NAN, NAN, -2.0, 0.5];
            let [gradient, loss, error] = [&gradient.concat()[..], &loss, &error].map(|v| Some(bits(v)));
            vec![None, None, None, gradient, loss, error]
        }),
        tolerance: 0.0,
        ..td_loss(kernel, Size::Tiny)
    }
}

/// A NaN among the predictions, an infinite target, a good row, two infinities.
fn meaningless_regression() -> Case {
    let (predicted, target) = (
        [[NAN, 1.0], [1.0, 2.0], [1.0, 2.0], [INFINITE, 1.0]],
        [[0.0, 2.0], [0.0, INFINITE], [2.0, 4.0], [INFINITE, 1.0]],
    );
    let kernel = Regression { rows: 4, columns: 2, criterion: Criterion::Squared, weighted: false };
    Case {
        inputs: vec![
            Values::F32(predicted.concat()),
            Values::F32(target.concat()),
            Values::U32(vec![0; 8]),
            Values::U32(vec![0; 4]),
        ],
        expected: Box::new(|_| {
            let gradient = [NAN, -0.25, 0.25, NAN, -0.25, -0.5, NAN, -0.0];
            vec![None, None, Some(bits(&gradient)), Some(bits(&[NAN, NAN, 2.5, NAN]))]
        }),
        tolerance: 0.0,
        ..regression(kernel, Size::Tiny)
    }
}

/// A NaN in either network's values, one behind the end of an episode, an infinite value, a NaN as reward, a good row.
fn meaningless_td_target() -> Case {
    let next = [[NAN, 1.0], [2.0, 1.0], [NAN, NAN], [1.0, INFINITE], [1.0, 2.0], [1.0, 2.0]];
    let selector = [[0.0, 1.0], [0.0, NAN], [NAN, NAN], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]];
    let kernel = TdTarget { rows: 6, actions: 2, double: true };
    Case {
        inputs: vec![
            Values::F32(next.concat()),
            Values::F32(vec![1.0, 1.0, 1.0, 1.0, NAN, 1.0]),
            Values::F32(vec![0.5, 0.5, 0.0, 0.5, 0.5, 0.5]),
            Values::U32(vec![0; 6]),
            Values::F32(selector.concat()),
        ],
        expected: Box::new(|_| {
            let target = [NAN, NAN, 1.0, INFINITE, NAN, 1.5];
            vec![None, None, None, Some(bits(&target)), None]
        }),
        tolerance: 0.0,
        ..td_target(kernel, Size::Tiny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::case::check_gradient;

    /// The floats that a case writes into one of its buffers.
    fn written(case: &Case, buffer: usize) -> Vec<f32> {
        bytemuck::cast_vec(case.run_on_cpu(&Cpu::new(1).unwrap()).swap_remove(buffer))
    }

    /// The mean over the rows of weight times loss, from the words of both.
    fn weighted_mean(loss: &[u32], weight: &[u32]) -> f64 {
        let products = loss
            .iter()
            .zip(weight)
            .map(|(&loss, &weight)| f64::from(f32::from_bits(loss)) * f64::from(f32::from_bits(weight)));
        products.sum::<f64>() / loss.len() as f64
    }

    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(cases());
    }

    #[test]
    fn gradients_are_those_of_the_weighted_mean_loss() {
        for criterion in CRITERIA {
            let mut case = td_loss(TdLoss { rows: 9, actions: 3, criterion, weighted: true }, Size::Tiny);
            let dq = written(&case, 3);
            check_gradient(&mut case, 0, &dq, |buffers| weighted_mean(&buffers[4], &buffers[6]));
            let kernel = Regression { rows: 5, columns: 4, criterion, weighted: true };
            let mut case = regression(kernel, Size::Tiny);
            let dpredicted = written(&case, 2);
            check_gradient(&mut case, 0, &dpredicted, |buffers| weighted_mean(&buffers[3], &buffers[4]));
        }
    }
}
