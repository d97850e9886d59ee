//! Shapes for tests and benches, and the definitions in f64.

use super::{CrossEntropy, Distillation, RecordLoss};
use crate::case::test_values;
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for rows in [1, 3, 65] {
        for classes in [1, 2, 3, 10, 16, 17, 32, 33, 129, 257] {
            cases.push(cross_entropy(rows, classes, 5.0, 0.0, Size::Tiny));
            cases.push(cross_entropy(rows, classes, 5.0, 0.01, Size::Tiny));
            cases.push(distillation(rows, classes, 5.0, 0.7, Size::Tiny));
        }
    }
    for classes in [10, 100] {
        cases.push(cross_entropy(9, classes, 1e4, 0.0, Size::Tiny));
        cases.push(cross_entropy(9, classes, 0.0, 1.0, Size::Tiny));
        cases.push(distillation(9, classes, 1e3, 1.0, Size::Tiny));
        cases.push(meaningless_rows(classes));
    }
    // MNIST, CIFAR-100, Tiny ImageNet, ImageNet.
    for (rows, classes) in [(256, 10), (96, 10), (256, 100), (256, 200), (256, 1000)] {
        cases.push(cross_entropy(rows, classes, 5.0, 0.0, Size::Real));
        cases.push(distillation(rows, classes, 5.0, 1.0, Size::Real));
    }
    for (rows, ring_rows, words, slot) in
        [(1, 1, 3, 0), (5, 3, 4, 2), (255, 4, 8, 1), (256, 2, 3, 1), (1000, 7, 5, 6), (17, 3, 4, 3)]
    {
        cases.push(record(rows, ring_rows, words, slot, Size::Tiny));
    }
    cases.push(record(256, 128, 8, 77, Size::Real));
    cases
}

/// Logits in about ±scale, in steps so coarse that some are equal.
fn logits(rows: usize, classes: usize, scale: f32) -> Values {
    let values = test_values(rows * classes, 1);
    Values::F32(values.into_iter().map(|v| (v * 40.0).round() / 40.0 * scale).collect())
}

fn labels(rows: usize, classes: usize) -> Vec<u32> {
    (0..rows).map(|row| ((row * 7 + 3) % classes) as u32).collect()
}

fn cross_entropy(rows: usize, classes: usize, scale: f32, logit_penalty: f64, size: Size) -> Case {
    Case {
        kernel: Arc::new(CrossEntropy { rows, classes, logit_penalty }),
        clock: Clock::default(),
        inputs: vec![
            logits(rows, classes, scale),
            Values::U32(labels(rows, classes)),
            Values::F32(vec![0.0; rows * classes]),
            Values::F32(vec![0.0; rows]),
            Values::U32(vec![0; rows]),
        ],
        expected: Box::new(move |inputs| {
            let (logits, labels) = (inputs[0].f64(), inputs[1].f64());
            let (mut gradient, mut loss, mut rank) = (Vec::new(), Vec::new(), Vec::new());
            for (z, label) in logits.chunks(classes).zip(labels) {
                let label = label as usize;
                let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = z.iter().map(|v| (v - largest).exp()).sum();
                for (k, v) in z.iter().enumerate() {
                    let target = if k == label { 1.0 } else { 0.0 };
                    let softmax = (v - largest).exp() / sum;
                    gradient.push((softmax - target + 2.0 * logit_penalty * v) / rows as f64);
                }
                let squares: f64 = z.iter().map(|v| v * v).sum();
                loss.push(sum.ln() + largest - z[label] + logit_penalty * squares);
                let mut order: Vec<usize> = (0..classes).collect();
                // Stable: equal logits keep the order of their indices.
                order.sort_by(|&a, &b| z[b].partial_cmp(&z[a]).expect("no NaN"));
                rank.push(order.iter().position(|&k| k == label).expect("a class") as f64);
            }
            vec![None, None, Some(gradient), Some(loss), Some(rank)]
        }),
        tolerance: 5e-6,
        size,
    }
}

/// Rows with a NaN, an infinite logit or a label that is no class never count as hits. Their loss and gradient are NaN,
/// which has no distance to anything; a test of this family checks that on the CPU.
fn meaningless_rows(classes: usize) -> Case {
    let rows = 6;
    let Values::F32(mut values) = logits(rows, classes, 3.0) else { unreachable!("logits are floats") };
    let mut labels = labels(rows, classes);
    values[labels[0] as usize] = f32::NAN;
    values[2 * classes - 1] = f32::NAN;
    values[2 * classes] = f32::INFINITY;
    labels[3] = classes as u32;
    labels[4] = u32::MAX;
    Case {
        inputs: vec![
            Values::F32(values),
            Values::U32(labels),
            Values::F32(vec![0.0; rows * classes]),
            Values::F32(vec![0.0; rows]),
            Values::U32(vec![0; rows]),
        ],
        expected: Box::new(move |inputs| {
            let (z, label) = (inputs[0].f64(), inputs[1].f64()[5] as usize);
            let z = &z[5 * classes..];
            let beats = |k: usize| z[k] > z[label] || (z[k] == z[label] && k < label);
            let last = (0..classes).filter(|&k| beats(k)).count() as f64;
            let worst = classes as f64;
            vec![None, None, None, None, Some(vec![worst, worst, worst, worst, worst, last])]
        }),
        tolerance: 0.0,
        ..cross_entropy(rows, classes, 3.0, 0.0, Size::Tiny)
    }
}

/// The divergence written as its definition, class by class.
fn distillation(rows: usize, classes: usize, scale: f32, weight: f64, size: Size) -> Case {
    let teacher = test_values(rows * classes, 5).into_iter().map(|v| v * scale).collect();
    Case {
        kernel: Arc::new(Distillation { rows, classes, weight }),
        clock: Clock::default(),
        inputs: vec![
            logits(rows, classes, scale),
            Values::F32(teacher),
            Values::F32(test_values(rows * classes, 6).into_iter().map(|v| v / rows as f32).collect()),
            Values::F32(test_values(rows, 7).into_iter().map(|v| v + 1.5).collect()),
        ],
        expected: Box::new(move |inputs| {
            let [logits, teacher, mut gradient, mut loss] = std::array::from_fn(|i| inputs[i].f64());
            let log_softmax = |z: &[f64]| -> Vec<f64> {
                let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = z.iter().map(|v| (v - largest).exp()).sum();
                z.iter().map(|v| v - largest - sum.ln()).collect()
            };
            for row in 0..rows {
                let all = row * classes..(row + 1) * classes;
                let (q, p) = (log_softmax(&logits[all.clone()]), log_softmax(&teacher[all]));
                for k in 0..classes {
                    loss[row] += weight * p[k].exp() * (p[k] - q[k]);
                    gradient[row * classes + k] += weight * (q[k].exp() - p[k].exp()) / rows as f64;
                }
            }
            vec![None, None, Some(gradient), Some(loss)]
        }),
        tolerance: 5e-6,
        size,
    }
}

fn record(rows: usize, ring_rows: usize, words: usize, slot: u32, size: Size) -> Case {
    let ranks = test_values(rows, 2).into_iter().map(|v| (v.abs() * 12.0) as u32).collect();
    Case {
        kernel: Arc::new(RecordLoss { rows, ring_rows, words }),
        clock: Clock { slot, ..Clock::default() },
        inputs: vec![
            Values::F32(test_values(rows, 1).into_iter().map(|v| v + 1.5).collect()),
            Values::U32(ranks),
            Values::F32(test_values(ring_rows * words, 3)),
        ],
        expected: Box::new(move |inputs| {
            let [loss, rank, mut ring] = std::array::from_fn(|i| inputs[i].f64());
            if (slot as usize) < ring_rows {
                let row = &mut ring[slot as usize * words..];
                row[0] = loss.iter().sum::<f64>() / rows as f64;
                row[1] = rank.iter().filter(|&&r| r == 0.0).count() as f64;
                row[2] = rank.iter().filter(|&&r| r < 5.0).count() as f64;
            }
            vec![None, None, Some(ring)]
        }),
        tolerance: 1e-6,
        size,
    }
}
