//! Shapes for tests and benches, and the definition in f64.

use super::{Attention, AttentionBackward, AttentionForward, MergeHeads, SplitHeads};
use crate::case::test_values;
use crate::dropout::Mask;
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

const CLOCK: Clock = Clock {
    seed: 13,
    step: 500,
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
    let mut shapes = Vec::new();
    for tokens in [1, 5, 64, 65] {
        for head_size in [16, 32, 64] {
            shapes.push((1 + tokens % 2, tokens, 2, head_size, Size::Tiny));
        }
    }
    // Heads that are no whole vectors, one that is long, sequences of several tiles.
    shapes.extend([(2, 3, 1, 1, Size::Tiny), (1, 17, 3, 6, Size::Tiny), (1, 33, 2, 20, Size::Tiny)]);
    shapes.extend([(1, 9, 1, 80, Size::Tiny), (1, 128, 1, 24, Size::Tiny), (1, 130, 1, 8, Size::Tiny)]);
    shapes.extend([16, 32, 64].map(|head_size| (1, 197, 2, head_size, Size::Tiny)));
    // ViT-Tiny on 32x32 and on 224x224 images.
    shapes.extend([(8, 65, 3, 64, Size::Real), (2, 197, 3, 64, Size::Real)]);
    let mut cases = Vec::new();
    for (batch, tokens, heads, head_size, size) in shapes {
        for mask in [None, Some(Mask { rate: 0.3, layer: tokens as u32 })] {
            let attention = Attention { batch, tokens, heads, head_size, mask };
            cases.push(forward(attention, size));
            cases.push(backward(attention, size));
        }
    }
    for (batch, tokens, heads, head_size) in [(1, 1, 1, 1), (2, 5, 3, 4), (3, 65, 2, 6), (40, 7, 1, 20)] {
        let attention = Attention { batch, tokens, heads, head_size, mask: None };
        cases.extend([1, 3].map(|parts| split_heads(attention, parts)));
        cases.extend([1, 3].map(|parts| merge_heads(attention, parts)));
    }
    cases
}

/// Index in `[N, T, parts, H, d]` of element `i` of a part `[N, H, T, d]`.
fn together(attention: &Attention, parts: usize, part: usize, i: usize) -> usize {
    let Attention { tokens, heads, head_size, .. } = *attention;
    let (c, t, h) = (i % head_size, i / head_size % tokens, i / head_size / tokens % heads);
    let n = i / head_size / tokens / heads;
    (((n * tokens + t) * parts + part) * heads + h) * head_size + c
}

fn split_heads(attention: Attention, parts: usize) -> Case {
    let len = attention.len();
    let mut inputs = vec![Values::Random { len: parts * len, stream: 1 }];
    inputs.extend((0..parts as u32).map(|part| Values::Random { len, stream: 2 + part }));
    Case {
        kernel: Arc::new(SplitHeads { attention, parts }),
        clock: CLOCK,
        inputs,
        expected: Box::new(move |inputs| {
            let joined = inputs[0].f64();
            let part = |part| (0..len).map(|i| joined[together(&attention, parts, part, i)]).collect();
            std::iter::once(None).chain((0..parts).map(|index| Some(part(index)))).collect()
        }),
        tolerance: 0.0,
        size: Size::Tiny,
    }
}

fn merge_heads(attention: Attention, parts: usize) -> Case {
    let len = attention.len();
    let part = |part| Values::Random { len, stream: 2 + part };
    let mut inputs: Vec<Values> = (0..parts as u32).map(part).collect();
    inputs.push(Values::Random { len: parts * len, stream: 1 });
    Case {
        kernel: Arc::new(MergeHeads { attention, parts }),
        clock: CLOCK,
        inputs,
        expected: Box::new(move |inputs| {
            let mut joined = vec![f64::NAN; parts * len];
            for part in 0..parts {
                for (i, value) in inputs[part].f64().into_iter().enumerate() {
                    joined[together(&attention, parts, part, i)] = value;
                }
            }
            let mut expected = vec![None; parts];
            expected.push(Some(joined));
            expected
        }),
        tolerance: 0.0,
        size: Size::Tiny,
    }
}

/// Queries, keys and values for which attention is neither even nor on one key only.
fn projections(attention: &Attention) -> Vec<f32> {
    let mut values = test_values(3 * attention.len(), 1);
    values.iter_mut().for_each(|value| *value *= 2.0);
    values
}

/// O and L, both from what a kernel is given.
type Forward = (Vec<f64>, Vec<f64>);

/// `softmax(Q Kᵀ / sqrt(d)) V` for each head; with dO, also the gradient of qkv, from the chain rule for P in full.
fn define(attention: &Attention, qkv: &[f64], dout: Option<&[f64]>) -> (Forward, Vec<f64>) {
    let Attention { batch, tokens: t, heads, head_size: d, mask } = *attention;
    let width = heads * d;
    let scale = 1.0 / (d as f64).sqrt();
    let (mut o, mut lse) = (vec![0.0; attention.len()], vec![0.0; attention.lse_len()]);
    let mut dqkv = vec![0.0; qkv.len()];
    for head in 0..batch * heads {
        let at = |part: usize, row: usize| ((head / heads * t + row) * 3 + part) * width + head % heads * d;
        let out = |row: usize| (head / heads * t + row) * width + head % heads * d;
        for i in 0..t {
            let q = &qkv[at(0, i)..][..d];
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let scores: Vec<f64> = (0..t).map(|j| scale * dot(q, &qkv[at(1, j)..][..d])).collect();
            let most = scores.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let sum = scores.iter().map(|s| (s - most).exp()).sum::<f64>();
            lse[head * t + i] = most + sum.ln();
            let p: Vec<f64> = scores.iter().map(|s| (s - most).exp() / sum).collect();
            let factor = |j: usize| {
                let counter = (head * t + i) * t.div_ceil(4) + j / 4;
                mask.map_or(1.0, |mask| mask.definition(&CLOCK, counter as u32, j % 4))
            };
            for j in 0..t {
                for c in 0..d {
                    o[out(i) + c] += factor(j) * p[j] * qkv[at(2, j) + c];
                }
            }
            let Some(dout) = dout else { continue };
            let dout = &dout[out(i)..][..d];
            let dp: Vec<f64> = (0..t).map(|j| factor(j) * dot(dout, &qkv[at(2, j)..][..d])).collect();
            let mean = dot(&p, &dp);
            for j in 0..t {
                let ds = scale * p[j] * (dp[j] - mean);
                for c in 0..d {
                    dqkv[at(0, i) + c] += ds * qkv[at(1, j) + c];
                    dqkv[at(1, j) + c] += ds * q[c];
                    dqkv[at(2, j) + c] += factor(j) * p[j] * dout[c];
                }
            }
        }
    }
    ((o, lse), dqkv)
}

/// As the kernel: some heads only, of a large case.
fn forward(attention: Attention, size: Size) -> Case {
    let (len, lse_len) = (attention.len(), attention.lse_len());
    let inputs = vec![
        Values::F32(projections(&attention)),
        Values::Random { len, stream: 2 },
        Values::Random { len: lse_len, stream: 3 },
    ];
    Case {
        kernel: Arc::new(AttentionForward(attention)),
        clock: CLOCK,
        inputs,
        expected: Box::new(move |inputs| {
            let ((o, lse), _) = define(&attention, &inputs[0].f64(), None);
            vec![None, Some(o), Some(lse)]
        }),
        tolerance: 3e-6,
        size,
    }
}

fn backward(attention: Attention, size: Size) -> Case {
    let len = attention.len();
    let qkv = projections(&attention);
    let values: Vec<f64> = qkv.iter().map(|&value| f64::from(value)).collect();
    let ((o, lse), _) = define(&attention, &values, None);
    let rounded = |values: Vec<f64>| Values::F32(values.into_iter().map(|value| value as f32).collect());
    let inputs = vec![
        Values::F32(qkv),
        rounded(o),
        Values::Random { len, stream: 2 },
        rounded(lse),
        Values::Random { len: 3 * len, stream: 3 },
    ];
    Case {
        kernel: Arc::new(AttentionBackward(attention)),
        clock: CLOCK,
        inputs,
        expected: Box::new(move |inputs| {
            let (_, dqkv) = define(&attention, &inputs[0].f64(), Some(&inputs[2].f64()));
            vec![None, None, None, None, Some(dqkv)]
        }),
        // With one token nothing of P can change: dQ and dK are rounding.
        tolerance: 5e-6,
        size,
    }
}
