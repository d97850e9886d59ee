//! Shapes for tests and benches, and the definitions in f64.

use super::{Embed, EmbedBackward, Patches, Positions, Select, SelectBackward};
use crate::{Case, Clock, Kernel, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let images = [
        (1, 1, 1, 1, 1, Size::Tiny),
        (3, 4, 6, 1, 2, Size::Tiny),
        (2, 6, 3, 5, 3, Size::Tiny),
        (3, 8, 8, 3, 4, Size::Tiny),
        (2, 12, 8, 4, 4, Size::Tiny),
        (64, 32, 32, 3, 4, Size::Real),
    ];
    for (batch, height, width, channels, patch, size) in images {
        cases.push(patches(Patches { batch, height, width, channels, patch }, size));
    }
    let sequences = [
        (1, 1, 1, Size::Tiny),
        (2, 3, 5, Size::Tiny),
        (5, 4, 8, Size::Tiny),
        (7, 2, 33, Size::Tiny),
        (3, 9, 64, Size::Tiny),
        (64, 64, 192, Size::Real),
    ];
    for (batch, tokens, width, size) in sequences {
        let (embed, select) = (Embed { batch, tokens, width }, Select { batch, tokens, width });
        let sequence = tokens * width;
        cases.push(case(Arc::new(Positions { batch, sequence }), size, move |inputs| {
            let y = (0..batch * sequence).map(|i| f64::from((inputs[0][i] + inputs[1][i % sequence]) as f32));
            vec![None, None, Some(y.collect())]
        }));
        // The gradients summed over all sequences, and of each.
        for groups in if batch > 1 { vec![1, batch] } else { vec![1] } {
            cases.push(case(Arc::new(EmbedBackward { embed, groups }), size, move |inputs| {
                define_embed_backward(&embed, groups, &inputs[0])
            }));
        }
        let kernels: [Arc<dyn Kernel>; 3] =
            [Arc::new(embed), Arc::new(select), Arc::new(SelectBackward(select))];
        for (index, kernel) in kernels.into_iter().enumerate() {
            cases.push(case(kernel, size, move |inputs| match index {
                0 => define_embed(&embed, inputs),
                1 => {
                    let y = (0..batch * width).map(|i| inputs[0][i / width * tokens * width + i % width]);
                    vec![None, Some(y.collect())]
                }
                _ => {
                    let dx = (0..batch * tokens * width).map(|i| match i / width % tokens {
                        0 => inputs[0][i / width / tokens * width + i % width],
                        _ => 0.0,
                    });
                    vec![None, Some(dx.collect())]
                }
            }));
        }
    }
    cases
}

fn case(
    kernel: Arc<dyn Kernel>,
    size: Size,
    define: impl Fn(&[Vec<f64>]) -> Vec<Option<Vec<f64>>> + Send + Sync + 'static,
) -> Case {
    let bindings = kernel.bindings();
    let sums = kernel.name() == "tokens/embed_backward";
    let input = |(stream, len)| Values::Random { len, stream };
    Case {
        kernel,
        clock: Clock::default(),
        inputs: (1..).zip(bindings.iter().map(|binding| binding.words)).map(input).collect(),
        expected: Box::new(move |inputs| define(&inputs.iter().map(Values::f64).collect::<Vec<_>>())),
        // All else is exact on every device.
        tolerance: if sums { 1e-6 } else { 0.0 },
        size,
    }
}

fn patches(kernel: Patches, size: Size) -> Case {
    let Patches { height, width, channels, patch, .. } = kernel;
    let (rows, columns) = (height / patch, width / patch);
    case(Arc::new(kernel), size, move |inputs| {
        let element = |i: usize| {
            let (c, v, u) = (i % channels, i / channels % patch, i / channels / patch % patch);
            let place = i / (patch * patch * channels);
            let (n, row, column) = (place / (rows * columns), place / columns % rows, place % columns);
            inputs[0][((n * height + row * patch + u) * width + column * patch + v) * channels + c]
        };
        vec![None, Some((0..inputs[0].len()).map(element).collect())]
    })
}

/// f32 additions of two values are exact in f64 but for one rounding.
fn define_embed(embed: &Embed, inputs: &[Vec<f64>]) -> Vec<Option<Vec<f64>>> {
    let Embed { batch, tokens, width } = *embed;
    let y = (0..batch * (tokens + 1) * width).map(|i| {
        let (n, t, c) = (i / width / (tokens + 1), i / width % (tokens + 1), i % width);
        let x = if t == 0 { inputs[1][c] } else { inputs[0][(n * tokens + t - 1) * width + c] };
        f64::from((x + inputs[2][t * width + c]) as f32)
    });
    vec![None, None, None, Some(y.collect())]
}

fn define_embed_backward(embed: &Embed, groups: usize, dy: &[f64]) -> Vec<Option<Vec<f64>>> {
    let Embed { batch, tokens, width } = *embed;
    let at = |n: usize, t: usize, c: usize| dy[(n * (tokens + 1) + t) * width + c];
    let dx = (0..batch * tokens * width)
        .map(|i| at(i / width / tokens, i / width % tokens + 1, i % width))
        .collect();
    let each = batch / groups;
    let sum = |group: usize, t, c| (group * each..(group + 1) * each).map(|n| at(n, t, c)).sum();
    let dcls = (0..groups * width).map(|i| sum(i / width, 0, i % width)).collect();
    let place = |i: usize| (i / width / (tokens + 1), i / width % (tokens + 1), i % width);
    let dpositions =
        (0..groups * (tokens + 1) * width).map(place).map(|(group, t, c)| sum(group, t, c)).collect();
    vec![None, Some(dx), Some(dcls), Some(dpositions)]
}
