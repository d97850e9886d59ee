//! Shapes for tests and benches, and the definition in f64.

use super::{LayerNormBackward, LayerNormForward};
use crate::case::test_values;
use crate::dropout::Mask;
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

const EPS: f32 = 1e-5;
const CLOCK: Clock = Clock {
    seed: 5,
    step: 40_002,
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
    let tiny =
        [(1, 1), (3, 2), (5, 17), (2, 48), (9, 64), (65, 20), (33, 130), (131, 33), (2, 1027), (70, 192)];
    // ViT-Tiny at batch 64: its patches, its tokens.
    let real = [(64 * 64, 48), (64 * 65, 192)];
    let shapes =
        tiny.map(|shape| (shape, Size::Tiny)).into_iter().chain(real.map(|shape| (shape, Size::Real)));
    // A group for each example: of one row (in an MLP), of all tokens of a sequence, of one row in wide vectors.
    let groups =
        [(5, 17, 5), (12, 48, 3), (130, 20, 2), (66, 33, 22), (260, 192, 4)].map(|(rows, width, groups)| {
            let mask = (groups % 2 == 0).then_some(Mask { rate: 0.3, layer: 1 });
            let kernel = LayerNormBackward { rows, width, eps: EPS, dsum: rows % 3 == 0, mask, groups };
            backward(kernel, Size::Tiny)
        });
    let one_group = shapes.flat_map(|((rows, width), size)| {
        let mask = Mask { rate: 0.3, layer: rows as u32 };
        let forward = |branch, mask| forward(LayerNormForward { rows, width, eps: EPS, branch, mask }, size);
        let backward =
            |dsum, mask| backward(LayerNormBackward { rows, width, eps: EPS, dsum, mask, groups: 1 }, size);
        [
            forward(false, None),
            forward(true, None),
            forward(true, Some(mask)),
            backward(false, None),
            backward(true, None),
            backward(false, Some(mask)),
            backward(true, Some(mask)),
        ]
    });
    one_group.chain(groups).chain(super::tangent_cases::cases()).collect()
}

/// What element c of a row is multiplied with.
fn factor(mask: Option<Mask>, width: usize, row: usize, c: usize) -> f64 {
    mask.map_or(1.0, |mask| mask.definition(&CLOCK, (row * width.div_ceil(4) + c / 4) as u32, c % 4))
}

/// xhat of a row, and `1 / sqrt(var + eps)`.
fn normalised(x: &[f64]) -> (Vec<f64>, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    let inverse = 1.0 / (var + f64::from(EPS)).sqrt();
    (x.iter().map(|x| (x - mean) * inverse).collect(), inverse)
}

/// Rows with means of their own, far from zero.
fn rows_with_means(rows: usize, width: usize, stream: u32) -> Values {
    let mut values = test_values(rows * width, stream);
    for (row, values) in values.chunks_mut(width).enumerate() {
        values.iter_mut().for_each(|value| *value += (row % 7) as f32 - 2.0);
    }
    Values::F32(values)
}

fn forward(kernel: LayerNormForward, size: Size) -> Case {
    let LayerNormForward { rows, width, branch, mask, .. } = kernel;
    let all = rows * width;
    let values = |len, stream| Values::Random { len, stream };
    let mut inputs = vec![rows_with_means(rows, width, 1)];
    inputs.extend(branch.then(|| values(all, 2)));
    inputs.extend([values(width, 3), values(width, 4)]);
    inputs.extend(branch.then(|| values(all, 5)));
    inputs.push(values(all, 6));
    Case {
        kernel: Arc::new(kernel),
        clock: CLOCK,
        inputs,
        expected: Box::new(move |inputs| {
            let mut x = inputs[0].f64();
            if branch {
                for (i, (x, branch)) in x.iter_mut().zip(inputs[1].f64()).enumerate() {
                    *x += branch * factor(mask, width, i / width, i % width);
                }
            }
            let first = 1 + usize::from(branch);
            let (weight, bias) = (inputs[first].f64(), inputs[first + 1].f64());
            let row = |x: &[f64]| {
                let (xhat, _) = normalised(x);
                (0..width).map(|c| xhat[c] * weight[c] + bias[c]).collect::<Vec<_>>()
            };
            let y = x.chunks(width).flat_map(row).collect();
            let mut expected = vec![None; first + 2];
            expected.extend(branch.then_some(Some(x)));
            expected.push(Some(y));
            expected
        }),
        tolerance: 3e-6,
        size,
    }
}

fn backward(kernel: LayerNormBackward, size: Size) -> Case {
    let LayerNormBackward { rows, width, dsum, mask, groups, .. } = kernel;
    let all = rows * width;
    let values = |len, stream| Values::Random { len, stream };
    let mut inputs = vec![values(all, 1), rows_with_means(rows, width, 2), values(width, 3)];
    inputs.extend(dsum.then(|| values(all, 4)));
    inputs.push(values(all, 5));
    inputs.extend(mask.map(|_| values(all, 6)));
    inputs.extend([values(groups * width, 7), values(groups * width, 8)]);
    Case {
        kernel: Arc::new(kernel),
        clock: CLOCK,
        inputs,
        expected: Box::new(move |inputs| {
            let (dy, x, weight) = (inputs[0].f64(), inputs[1].f64(), inputs[2].f64());
            let mut dx = if dsum { inputs[3].f64() } else { vec![0.0; all] };
            let (mut dweight, mut dbias) = (vec![0.0; groups * width], vec![0.0; groups * width]);
            for row in 0..rows {
                let range = row * width..(row + 1) * width;
                let (xhat, inverse) = normalised(&x[range.clone()]);
                let (dy, dx) = (&dy[range.clone()], &mut dx[range]);
                let mean = |f: &dyn Fn(usize) -> f64| (0..width).map(f).sum::<f64>() / width as f64;
                let mean_g = mean(&|c| dy[c] * weight[c]);
                let mean_gx = mean(&|c| dy[c] * weight[c] * xhat[c]);
                for c in 0..width {
                    dx[c] += inverse * (dy[c] * weight[c] - mean_g - xhat[c] * mean_gx);
                    let sum = row / (rows / groups) * width + c;
                    dweight[sum] += dy[c] * xhat[c];
                    dbias[sum] += dy[c];
                }
            }
            let dbranch = mask
                .map(|_| Some((0..all).map(|i| dx[i] * factor(mask, width, i / width, i % width)).collect()));
            let mut expected = vec![None; 3 + usize::from(dsum)];
            expected.push(Some(dx));
            expected.extend(dbranch);
            expected.extend([Some(dweight), Some(dbias)]);
            expected
        }),
        // A row of one or two elements is almost constant when normalised: its gradient is a small difference.
        tolerance: if width < 3 { 1e-2 } else { 5e-6 },
        size,
    }
}
