//! The shapes that tests and benches read, and the definition of the three passes.

use super::{Conv2d, Conv2dBackwardData, Conv2dBackwardWeight, Conv2dForward};
use crate::case::{Case, Definition, Size, Values};
use crate::kernel::{Clock, Kernel};
use std::sync::Arc;

/// Shorthand: images, height, width, channels in and out, filter, stride, padding.
const fn conv(shape: [usize; 8]) -> Conv2d {
    let [batch, height, width, in_channels, out_channels, kernel, stride, padding] = shape;
    Conv2d { batch, height, width, in_channels, out_channels, kernel, stride, padding }
}

/// Small and ragged: odd channel counts, images that are no multiple of any tile, every filter size and stride in use,
/// no padding, images smaller than the filter's reach.
const TINY: [Conv2d; 29] = [
    conv([1, 1, 1, 1, 1, 1, 1, 0]),
    conv([1, 3, 3, 1, 1, 3, 1, 0]),
    conv([2, 5, 4, 3, 5, 3, 1, 1]),
    conv([3, 8, 8, 3, 16, 3, 1, 1]),
    conv([2, 7, 9, 4, 8, 3, 1, 1]),
    conv([1, 4, 4, 16, 16, 3, 1, 1]),
    conv([2, 6, 6, 32, 32, 3, 1, 1]),
    conv([3, 5, 7, 33, 17, 3, 1, 1]),
    conv([5, 2, 2, 24, 40, 3, 1, 1]),
    conv([4, 1, 1, 16, 48, 3, 1, 1]),
    conv([2, 13, 6, 8, 20, 3, 1, 0]),
    conv([1, 9, 9, 12, 36, 3, 1, 2]),
    conv([2, 8, 8, 8, 16, 3, 2, 1]),
    conv([3, 7, 5, 6, 10, 3, 2, 1]),
    conv([2, 9, 9, 5, 7, 3, 3, 0]),
    conv([2, 8, 8, 16, 32, 1, 2, 0]),
    conv([3, 5, 3, 7, 9, 1, 1, 0]),
    conv([2, 4, 4, 32, 64, 1, 1, 0]),
    conv([1, 11, 12, 3, 6, 5, 1, 2]),
    conv([2, 10, 9, 4, 4, 5, 2, 0]),
    conv([1, 20, 20, 4, 8, 8, 4, 0]),
    conv([65, 3, 3, 2, 3, 2, 1, 1]),
    // Vectors of x but not of y; a stride with a phase that no tap reaches; enough tiles for the largest design on a
    // software driver, without and with a stride.
    conv([2, 6, 5, 8, 6, 3, 1, 1]),
    conv([2, 7, 8, 3, 4, 2, 3, 1]),
    conv([2, 16, 16, 64, 32, 3, 1, 1]),
    conv([4, 32, 32, 16, 32, 3, 2, 1]),
    // Long enough to be cut within an image, or within the channels.
    conv([1, 40, 40, 24, 8, 3, 2, 1]),
    conv([1, 48, 40, 20, 10, 3, 1, 1]),
    conv([1, 2, 3, 512, 40, 3, 1, 1]),
];

/// The layers of ResNet-18 at 32x32 and of VGG-16 at 64x64, batch 64; some of ResNets of width 8 and 16, batch 128.
const REAL: [Conv2d; 22] = [
    conv([64, 32, 32, 3, 64, 3, 1, 1]),
    conv([64, 32, 32, 64, 64, 3, 1, 1]),
    conv([64, 32, 32, 64, 128, 3, 2, 1]),
    conv([64, 32, 32, 64, 128, 1, 2, 0]),
    conv([64, 16, 16, 128, 128, 3, 1, 1]),
    conv([64, 16, 16, 128, 256, 3, 2, 1]),
    conv([64, 16, 16, 128, 256, 1, 2, 0]),
    conv([64, 8, 8, 256, 256, 3, 1, 1]),
    conv([64, 8, 8, 256, 512, 3, 2, 1]),
    conv([64, 8, 8, 256, 512, 1, 2, 0]),
    conv([64, 4, 4, 512, 512, 3, 1, 1]),
    conv([64, 64, 64, 3, 64, 3, 1, 1]),
    conv([64, 64, 64, 64, 64, 3, 1, 1]),
    conv([64, 32, 32, 64, 128, 3, 1, 1]),
    conv([64, 32, 32, 128, 128, 3, 1, 1]),
    conv([64, 16, 16, 128, 256, 3, 1, 1]),
    conv([64, 16, 16, 256, 256, 3, 1, 1]),
    conv([64, 8, 8, 256, 512, 3, 1, 1]),
    conv([64, 8, 8, 512, 512, 3, 1, 1]),
    conv([128, 32, 32, 8, 8, 3, 1, 1]),
    conv([128, 32, 32, 16, 32, 3, 2, 1]),
    conv([128, 16, 16, 32, 32, 3, 1, 1]),
];

/// The output `i` whose tap `u` reads input `at`, if there is one (it may lie beyond the last).
fn output_position(conv: &Conv2d, at: usize, u: usize) -> Option<usize> {
    let shifted = (at + conv.padding).checked_sub(u)?;
    shifted.is_multiple_of(conv.stride).then_some(shifted / conv.stride)
}

/// Position in the input that tap `u` of output `i` reads, unless it lies in the padding.
fn input_position(conv: &Conv2d, i: usize, u: usize, length: usize) -> Option<usize> {
    (conv.stride * i + u).checked_sub(conv.padding).filter(|&at| at < length)
}

/// Splits an index into the coordinates of an array with these inner axes.
fn coordinates<const N: usize>(mut index: usize, inner: [usize; N]) -> (usize, [usize; N]) {
    let mut at = [0; N];
    for axis in (0..N).rev() {
        at[axis] = index % inner[axis];
        index /= inner[axis];
    }
    (index, at)
}

/// `y[index]`, by the formula.
fn y_at(conv: &Conv2d, x: &[f64], weight: &[f64], bias: Option<&[f64]>, index: usize) -> f64 {
    let Conv2d { height, width, in_channels, out_channels, kernel, .. } = *conv;
    let (n, [i, j, o]) = coordinates(index, [conv.out_height(), conv.out_width(), out_channels]);
    let mut sum = bias.map_or(0.0, |bias| bias[o]);
    for (u, v) in (0..kernel).flat_map(|u| (0..kernel).map(move |v| (u, v))) {
        let (Some(a), Some(b)) = (input_position(conv, i, u, height), input_position(conv, j, v, width))
        else {
            continue;
        };
        for c in 0..in_channels {
            sum += x[((n * height + a) * width + b) * in_channels + c]
                * weight[((u * kernel + v) * in_channels + c) * out_channels + o];
        }
    }
    sum
}

/// `dx[index]`, by the formula.
fn dx_at(conv: &Conv2d, dy: &[f64], weight: &[f64], index: usize) -> f64 {
    let Conv2d { height, width, in_channels, out_channels, kernel, .. } = *conv;
    let (oh, ow) = (conv.out_height(), conv.out_width());
    let (n, [a, b, c]) = coordinates(index, [height, width, in_channels]);
    let mut sum = 0.0;
    for (u, v) in (0..kernel).flat_map(|u| (0..kernel).map(move |v| (u, v))) {
        let (Some(i), Some(j)) = (output_position(conv, a, u), output_position(conv, b, v)) else { continue };
        if i >= oh || j >= ow {
            continue;
        }
        for o in 0..out_channels {
            sum += dy[((n * oh + i) * ow + j) * out_channels + o]
                * weight[((u * kernel + v) * in_channels + c) * out_channels + o];
        }
    }
    sum
}

/// `dweight[index]`, by the formula.
fn dweight_at(conv: &Conv2d, x: &[f64], dy: &[f64], index: usize) -> f64 {
    let Conv2d { batch, height, width, in_channels, out_channels, kernel, .. } = *conv;
    let (oh, ow) = (conv.out_height(), conv.out_width());
    let (u, [v, c, o]) = coordinates(index, [kernel, in_channels, out_channels]);
    let mut sum = 0.0;
    for (i, j) in (0..oh).flat_map(|i| (0..ow).map(move |j| (i, j))) {
        let (Some(a), Some(b)) = (input_position(conv, i, u, height), input_position(conv, j, v, width))
        else {
            continue;
        };
        for n in 0..batch {
            sum += x[((n * height + a) * width + b) * in_channels + c]
                * dy[((n * oh + i) * ow + j) * out_channels + o];
        }
    }
    sum
}

/// All elements of a tiny output; some hundred of a real one, spread over it, the rest unchecked.
fn elements(len: usize, size: Size, at: impl Fn(usize) -> f64) -> Vec<f64> {
    // Odd, so that the sample meets every channel and every position in a window.
    let stride = if size == Size::Tiny { 1 } else { (len / 400).max(1) | 1 };
    let last = len - 1;
    (0..len).map(|i| if i % stride == 0 || i == last { at(i) } else { f64::NAN }).collect()
}

fn forward(kernel: Conv2dForward, size: Size) -> Definition {
    Box::new(move |inputs| {
        let (x, weight, conv) = (inputs[0].f64(), inputs[1].f64(), kernel.conv);
        let bias = kernel.bias.then(|| inputs[2].f64());
        let mut expected = vec![None; inputs.len() - 1];
        expected.push(Some(elements(conv.y_len(), size, |i| y_at(&conv, &x, &weight, bias.as_deref(), i))));
        expected
    })
}

fn backward_data(conv: Conv2d, size: Size) -> Definition {
    Box::new(move |inputs| {
        let (dy, weight) = (inputs[0].f64(), inputs[1].f64());
        vec![None, None, Some(elements(conv.x_len(), size, |i| dx_at(&conv, &dy, &weight, i)))]
    })
}

fn backward_weight(conv: Conv2d, groups: usize, size: Size) -> Definition {
    Box::new(move |inputs| {
        let (x, dy) = (inputs[0].f64(), inputs[1].f64());
        let one = Conv2d { batch: conv.batch / groups, ..conv };
        let at = |i: usize| {
            let group = i / conv.weight_len();
            let [x, dy] =
                [(&x, one.x_len()), (&dy, one.y_len())].map(|(all, len)| &all[group * len..][..len]);
            dweight_at(&one, x, dy, i % conv.weight_len())
        };
        vec![None, None, Some(elements(groups * conv.weight_len(), size, at))]
    })
}

fn case(kernel: impl Kernel + 'static, expected: Definition, size: Size) -> Case {
    let inputs = kernel
        .bindings()
        .iter()
        .enumerate()
        .map(|(index, binding)| Values::Random { len: binding.words, stream: index as u32 })
        .collect();
    Case { kernel: Arc::new(kernel), clock: Clock::default(), inputs, expected, tolerance: 2e-5, size }
}

/// All shapes in all three passes, with and without Winograd's method.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let sized = TINY.map(|conv| (conv, Size::Tiny)).into_iter().chain(REAL.map(|conv| (conv, Size::Real)));
    for (index, (conv, size)) in sized.enumerate() {
        // Where Winograd's method is no choice, both are the same.
        let choices: &[bool] = if conv.kernel == 3 && conv.stride == 1 { &[true, false] } else { &[true] };
        for &winograd in choices {
            // A bias with every second shape.
            let kernel = Conv2dForward { conv, bias: index % 2 == 0, winograd };
            cases.push(case(kernel, forward(kernel, size), size));
            cases.push(case(Conv2dBackwardData { conv, winograd }, backward_data(conv, size), size));
            // Of all images together, and of each.
            let all = if conv.batch > 1 && size == Size::Tiny { vec![1, conv.batch] } else { vec![1] };
            for groups in all {
                let kernel = Conv2dBackwardWeight { conv, groups, winograd };
                cases.push(case(kernel, backward_weight(conv, groups, size), size));
            }
        }
    }
    // A ResNet's first layers and last ones, each image by itself.
    for conv in [conv([32, 32, 32, 64, 64, 3, 1, 1]), conv([32, 4, 4, 512, 512, 3, 1, 1])] {
        let kernel = Conv2dBackwardWeight { conv, groups: 32, winograd: true };
        cases.push(case(kernel, backward_weight(conv, 32, Size::Real), Size::Real));
    }
    cases
}
