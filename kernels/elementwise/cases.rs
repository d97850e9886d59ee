//! Lengths for tests and benches.

use super::{Add, Crelu, CreluBackward, CreluTangent, Relu, ReluBackward};
use crate::case::test_values;
use crate::{Case, Clock, Kernel, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let tiny = [1, 3, 4, 5, 16, 17, 65, 257, 1025, 4097];
    // Activations of the MLPs, and of a convolution.
    let real = [256 * 512, 256 * 256, 256 * 100, 96 * 112, 65_536 * 64];
    let lengths = tiny.map(|n| (n, Size::Tiny)).into_iter().chain(real.map(|n| (n, Size::Real)));
    let simple = lengths.flat_map(|(len, size)| {
        [
            case(Arc::new(Relu { len }), len, size, |v, i| v[0][i].max(0.0)),
            case(Arc::new(ReluBackward { len }), len, size, |v, i| if v[0][i] > 0.0 { v[1][i] } else { 0.0 }),
            case(Arc::new(Add { len }), len, size, |v, i| f64::from((v[0][i] + v[1][i]) as f32)),
        ]
    });
    simple.chain(crelu()).collect()
}

/// CReLU on few and many channels, and on the layers of a convolutional network.
fn crelu() -> impl Iterator<Item = Case> {
    let tiny = [[1, 1], [1, 5], [3, 4], [7, 3], [65, 16], [30, 33], [300, 12], [5, 1000]];
    let real = [[256, 512], [64 * 32 * 32, 64], [64 * 16 * 16, 128]];
    let shapes = tiny.map(|s| (s, Size::Tiny)).into_iter().chain(real.map(|s| (s, Size::Real)));
    shapes.flat_map(|([rows, channels], size)| {
        let len = rows * channels;
        let forward = move |v: &[Vec<f64>], i: usize| {
            let (row, c) = (i / (2 * channels), i % (2 * channels));
            let sign = if c < channels { 1.0 } else { -1.0 };
            (sign * v[0][row * channels + c % channels]).max(0.0)
        };
        let backward = move |v: &[Vec<f64>], i: usize| {
            let (x, at) = (v[0][i], i / channels * 2 * channels + i % channels);
            let below = if x < 0.0 { -v[1][at + channels] } else { 0.0 };
            if x > 0.0 { v[1][at] } else { below }
        };
        let tangent = move |v: &[Vec<f64>], i: usize| {
            let (row, c) = (i / (2 * channels), i % (2 * channels));
            let (sign, at) = (if c < channels { 1.0 } else { -1.0 }, row * channels + c % channels);
            if sign * v[0][at] > 0.0 { sign * v[1][at] } else { 0.0 }
        };
        [
            case(Arc::new(Crelu { rows, channels }), 2 * len, size, forward),
            case(Arc::new(CreluBackward { rows, channels }), len, size, backward),
            case(Arc::new(CreluTangent { rows, channels }), 2 * len, size, tangent),
        ]
    })
}

/// All of these are exact on every device.
fn case(
    kernel: Arc<dyn Kernel>,
    len: usize,
    size: Size,
    definition: impl Fn(&[Vec<f64>], usize) -> f64 + Send + Sync + 'static,
) -> Case {
    let bindings = kernel.bindings();
    let buffers = bindings.len();
    // Every eighth element is zero, where ReLU and its gradient could differ.
    let values = |stream: u32| {
        let sparse = |(i, v)| if i % 8 == 7 { 0.0 } else { v };
        let words = bindings[stream as usize].words;
        Values::F32(test_values(words, stream).into_iter().enumerate().map(sparse).collect())
    };
    Case {
        kernel,
        clock: Clock::default(),
        inputs: (0..buffers as u32).map(values).collect(),
        expected: Box::new(move |inputs| {
            let values: Vec<_> = inputs.iter().map(Values::f64).collect();
            let mut expected = vec![None; buffers];
            expected[buffers - 1] = Some((0..len).map(|i| definition(&values, i)).collect());
            expected
        }),
        tolerance: 0.0,
        size,
    }
}
