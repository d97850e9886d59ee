//! The gradient of x: one product of windows of dy and transposed weights per phase of the stride.
//!
//! With stride s, the elements of dx whose row and column leave the remainders r and q when divided by s meet the same
//! taps: those u with `(r + p - u)` divisible by s, and likewise v. These elements, s apart in dx, are the outputs of a
//! convolution of dy with stride 1. No multiplication by the zeros between the windows remains.

use super::product::{Outputs, Product};
use super::windows::Windows;
use crate::Cpu;
use crate::conv2d::Conv2d;
use crate::matmul::pack::Source;
use crate::simd::LANES;

/// The taps that a remainder meets along one axis, and where they read.
struct Axis {
    /// Elements of dx with this remainder.
    outputs: usize,
    /// Taps that meet them.
    taps: usize,
    /// The first tap in the order of dy, the largest; the following ones are the stride smaller each.
    last: usize,
    /// Position in dy that the first tap reads for the first element.
    first: isize,
}

impl Axis {
    fn new(conv: &Conv2d, length: usize, remainder: usize) -> Self {
        let (stride, shifted) = (conv.stride, remainder + conv.padding);
        let smallest = shifted % stride;
        let taps = conv.kernel.saturating_sub(smallest).div_ceil(stride);
        let last = smallest + taps.saturating_sub(1) * stride;
        let first = (shifted as isize - last as isize) / stride as isize;
        Self { outputs: length.saturating_sub(remainder).div_ceil(stride), taps, last, first }
    }
}

/// The product of a phase and its taps, unless it has no elements.
fn phase(conv: &Conv2d, cpu: &Cpu, index: usize) -> Option<(Product, [Axis; 2])> {
    let (r, q) = (index / conv.stride, index % conv.stride);
    let axes = [Axis::new(conv, conv.height, r), Axis::new(conv, conv.width, q)];
    let [rows, columns] = &axes;
    if rows.outputs == 0 || columns.outputs == 0 {
        return None;
    }
    let windows = Windows {
        batch: conv.batch,
        source: [conv.out_height(), conv.out_width()],
        channels: conv.out_channels,
        outputs: [rows.outputs, columns.outputs],
        step: 1,
        size: [rows.taps, columns.taps],
        first: [rows.first, columns.first],
        group: 1,
    };
    let row = conv.width * conv.in_channels;
    let outputs = Outputs {
        start: r * row + q * conv.in_channels,
        image: conv.height * row,
        row: conv.stride * row,
        pixel: conv.stride * conv.in_channels,
    };
    Some((Product::new(windows, conv.in_channels, outputs, cpu), axes))
}

fn phases(conv: &Conv2d, cpu: &Cpu) -> impl Iterator<Item = (Product, [Axis; 2])> {
    (0..conv.stride * conv.stride).filter_map(|index| phase(conv, cpu, index))
}

pub(super) fn scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    let words = |(product, _): (Product, _)| product.weight_words() + product.scratch(cpu);
    phases(conv, cpu).map(words).max().unwrap_or(0) + LANES
}

pub(super) fn run(conv: &Conv2d, cpu: &Cpu, dy: &[f32], weight: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
    let Conv2d { in_channels, out_channels, kernel, stride, .. } = *conv;
    for (product, [rows, columns]) in phases(conv, cpu) {
        let (packed, copies) = scratch.split_at_mut(product.weight_words());
        // A block is one tap, `[C, O]` as it lies, in the order of dy.
        let block = |tap: usize| {
            let (u, v) =
                (rows.last - tap / columns.taps * stride, columns.last - tap % columns.taps * stride);
            Source {
                matrix: &weight[(u * kernel + v) * in_channels * out_channels..],
                stride: out_channels,
                transposed: true,
            }
        };
        product.pack(cpu, rows.taps * columns.taps, block, packed);
        product.run(cpu, dy, packed, None, dx, &mut copies[..product.scratch(cpu)]);
    }
}
