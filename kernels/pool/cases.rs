//! The shapes that tests and benches read, and the definition of the passes.

use super::{
    AveragePoolBackward, AveragePoolForward, MaxPoolBackward, MaxPoolForward, MaxPoolTangent, Pool2d,
};
use crate::case::{Case, Definition, Size, Values, test_values};
use crate::kernel::{Clock, Kernel};
use std::sync::Arc;

/// Shorthand: images, height, width, channels, kernel, stride, padding.
const fn pool(shape: [usize; 7]) -> Pool2d {
    let [batch, height, width, channels, kernel, stride, padding] = shape;
    Pool2d { batch, height, width, channels, kernel, stride, padding }
}

/// Small and ragged: odd channel counts, windows that overlap, leave gaps or do not cover the last rows, padding, the
/// largest kernel, whole images, many small images.
const TINY: [Pool2d; 20] = [
    pool([1, 1, 1, 1, 1, 1, 0]),
    pool([1, 2, 2, 1, 2, 2, 0]),
    pool([2, 4, 6, 3, 2, 2, 0]),
    pool([1, 5, 7, 4, 2, 2, 0]),
    pool([3, 6, 6, 5, 3, 2, 1]),
    pool([2, 7, 5, 8, 3, 2, 1]),
    pool([1, 8, 8, 16, 3, 1, 1]),
    pool([2, 5, 5, 17, 3, 1, 0]),
    pool([1, 9, 8, 20, 2, 3, 1]),
    pool([2, 6, 9, 2, 5, 2, 2]),
    pool([3, 4, 4, 64, 4, 4, 0]),
    pool([5, 4, 4, 33, 4, 4, 0]),
    pool([2, 8, 8, 12, 8, 8, 0]),
    pool([1, 16, 17, 7, 15, 1, 7]),
    pool([1, 15, 15, 4, 15, 15, 0]),
    pool([65, 2, 2, 3, 2, 2, 0]),
    pool([40, 4, 4, 16, 2, 2, 0]),
    pool([2, 3, 3, 6, 2, 1, 1]),
    pool([4, 2, 3, 100, 2, 1, 0]),
    pool([1, 7, 7, 1, 2, 5, 0]),
];

/// VGG-16 at 64x64 and 32x32, the stem of a ResNet, and global averages, batch 64.
const REAL: [Pool2d; 7] = [
    pool([64, 64, 64, 64, 2, 2, 0]),
    pool([64, 32, 32, 128, 2, 2, 0]),
    pool([64, 4, 4, 512, 2, 2, 0]),
    pool([64, 32, 32, 64, 3, 2, 1]),
    pool([64, 32, 32, 3, 2, 2, 0]),
    pool([64, 4, 4, 512, 4, 4, 0]),
    pool([64, 8, 8, 64, 8, 8, 0]),
];

/// Splits an index into image, row, column and channel.
fn coordinates(index: usize, height: usize, width: usize, channels: usize) -> [usize; 4] {
    let (pixel, c) = (index / channels, index % channels);
    [pixel / width / height, pixel / width % height, pixel % width, c]
}

/// The elements of the window of `y[index]` that lie inside of the image: position in the window, index in x.
fn window(pool: &Pool2d, index: usize) -> Vec<(usize, usize)> {
    let Pool2d { height, width, channels, kernel, stride, padding, .. } = *pool;
    let [n, i, j, c] = coordinates(index, pool.out_height(), pool.out_width(), channels);
    let mut elements = Vec::new();
    for (u, v) in (0..kernel).flat_map(|u| (0..kernel).map(move |v| (u, v))) {
        let (a, b) = ((stride * i + u).checked_sub(padding), (stride * j + v).checked_sub(padding));
        if let (Some(a), Some(b)) = (a.filter(|&a| a < height), b.filter(|&b| b < width)) {
            elements.push((u * kernel + v, ((n * height + a) * width + b) * channels + c));
        }
    }
    elements
}

/// The maximum of a window and its position, the first of equals.
fn maximum(pool: &Pool2d, x: &[f64], index: usize) -> (f64, usize) {
    let larger =
        |best: (f64, usize), (tap, at): (usize, usize)| if x[at] > best.0 { (x[at], tap) } else { best };
    window(pool, index).into_iter().fold((f64::NEG_INFINITY, 0), larger)
}

/// `dx[index]`: the sum of dy over the windows that contain the element, times their share; `share` is given the
/// index in dy and the element's position in the window.
fn dx_at(pool: &Pool2d, dy: &[f64], share: &dyn Fn(usize, usize) -> f64, index: usize) -> f64 {
    let Pool2d { height, width, channels, kernel, stride, padding, .. } = *pool;
    let (oh, ow) = (pool.out_height(), pool.out_width());
    let [n, a, b, c] = coordinates(index, height, width, channels);
    let inside = |at: usize, i: usize| (at + padding).checked_sub(stride * i).filter(|&u| u < kernel);
    let mut sum = 0.0;
    for (i, j) in (0..oh).flat_map(|i| (0..ow).map(move |j| (i, j))) {
        if let (Some(u), Some(v)) = (inside(a, i), inside(b, j)) {
            let index = ((n * oh + i) * ow + j) * channels + c;
            sum += dy[index] * share(index, u * kernel + v);
        }
    }
    sum
}

/// The byte of argmax that belongs to `y[index]`.
fn byte(pool: &Pool2d, argmax: &[u32], index: usize) -> usize {
    let (pixel, c) = (index / pool.channels, index % pool.channels);
    let word = argmax[pixel * pool.channels.div_ceil(4) + c / 4];
    usize::from(word.to_le_bytes()[c % 4])
}

/// Puts a byte per element of y into words of argmax.
fn pack(pool: &Pool2d, byte: impl Fn(usize) -> usize) -> Vec<u32> {
    let mut words = vec![0; pool.argmax_words()];
    for index in 0..pool.y_len() {
        let (pixel, c) = (index / pool.channels, index % pool.channels);
        words[pixel * pool.channels.div_ceil(4) + c / 4] |= (byte(index) as u32) << (8 * (c % 4));
    }
    words
}

fn case(
    kernel: impl Kernel + 'static,
    inputs: Vec<Values>,
    expected: Definition,
    tolerance: f64,
    size: Size,
) -> Case {
    Case { kernel: Arc::new(kernel), clock: Clock::default(), inputs, expected, tolerance, size }
}

/// Values with many equals, so that the first of them has to be found.
fn coarse(n: usize, stream: u32) -> Values {
    Values::F32(test_values(n, stream).into_iter().map(|v| (4.0 * v).round() / 4.0).collect())
}

/// All elements of a tiny output; some hundred of a real one, spread over it, the rest unchecked.
fn elements(len: usize, size: Size, at: impl Fn(usize) -> f64) -> Vec<f64> {
    // Odd, so that the sample meets every channel and every position in a window.
    let stride = if size == Size::Tiny { 1 } else { (len / 400).max(1) | 1 };
    (0..len).map(|i| if i % stride == 0 || i == len - 1 { at(i) } else { f64::NAN }).collect()
}

/// The shapes in all passes.
pub fn cases() -> Vec<Case> {
    let sized = TINY.map(|pool| (pool, Size::Tiny)).into_iter().chain(REAL.map(|pool| (pool, Size::Real)));
    let tangents = TINY.map(|pool| (pool, Size::Tiny)).into_iter().chain([(REAL[2], Size::Real)]);
    let tangents: Vec<Case> = tangents.map(|(pool, size)| max_tangent(pool, size)).collect();
    sized.flat_map(|(pool, size)| of(pool, size)).chain(tangents).collect()
}

/// Any position in the window of `y[index]` that lies inside of the image, and the index in x.
fn somewhere(pool: &Pool2d, index: usize) -> (usize, usize) {
    let elements = window(pool, index);
    elements[index * 7 % elements.len()]
}

fn max_tangent(pool: Pool2d, size: Size) -> Case {
    let random = |len, stream| Values::Random { len, stream };
    let argmax = Values::U32(pack(&pool, |index| somewhere(&pool, index).0));
    case(
        MaxPoolTangent { pool },
        vec![random(pool.x_len(), 1), argmax, random(pool.y_len(), 9)],
        Box::new(move |inputs| {
            let x = inputs[0].f64();
            let y = (0..pool.y_len()).map(|index| x[somewhere(&pool, index).1]).collect();
            vec![None, None, Some(y)]
        }),
        0.0,
        size,
    )
}

fn of(pool: Pool2d, size: Size) -> Vec<Case> {
    let (x_len, y_len, words) = (pool.x_len(), pool.y_len(), pool.argmax_words());
    let random = |len, stream| Values::Random { len, stream };
    let tiny = size == Size::Tiny;
    let x = || if tiny { coarse(x_len, 0) } else { random(x_len, 0) };
    // Of a large case, bytes that seldom mean a position in the window.
    let argmax = match tiny {
        true => Values::U32(pack(&pool, |index| somewhere(&pool, index).0)),
        false => random(words, 2),
    };
    let average = 1.0 / (pool.kernel * pool.kernel) as f64;
    vec![
        case(
            MaxPoolForward { pool },
            vec![x(), random(y_len, 9), Values::U32(vec![0; words])],
            Box::new(move |inputs| {
                let x = inputs[0].f64();
                let y = elements(y_len, size, |index| maximum(&pool, &x, index).0);
                let argmax = tiny.then(|| pack(&pool, |index| maximum(&pool, &x, index).1));
                vec![None, Some(y), argmax.map(|words| words.into_iter().map(f64::from).collect())]
            }),
            0.0,
            size,
        ),
        case(
            MaxPoolBackward { pool },
            vec![random(y_len, 1), argmax, random(x_len, 9)],
            Box::new(move |inputs| {
                let (dy, argmax) = (inputs[0].f64(), inputs[1].words());
                let share = |index: usize, tap: usize| f64::from(byte(&pool, &argmax, index) == tap);
                vec![None, None, Some(elements(x_len, size, |index| dx_at(&pool, &dy, &share, index)))]
            }),
            1e-6,
            size,
        ),
        case(
            AveragePoolForward { pool },
            vec![x(), random(y_len, 9)],
            Box::new(move |inputs| {
                let x = inputs[0].f64();
                let mean = |index| window(&pool, index).iter().map(|&(_, at)| x[at]).sum::<f64>() * average;
                vec![None, Some(elements(y_len, size, mean))]
            }),
            1e-6,
            size,
        ),
        case(
            AveragePoolBackward { pool },
            vec![random(y_len, 1), random(x_len, 9)],
            Box::new(move |inputs| {
                let dy = inputs[0].f64();
                vec![None, Some(elements(x_len, size, |index| dx_at(&pool, &dy, &|_, _| average, index)))]
            }),
            1e-6,
            size,
        ),
    ]
}
