//! The gradient of x: a product of windows of dy and transposed weights, in a phase for every remainder of the stride.
//!
//! With stride s, the elements of dx whose row and column leave the remainders r and q when divided by s meet the same
//! taps: those u with `(r + p - u)` divisible by s, and likewise v. These elements, s apart in dx, are the outputs of a
//! convolution of dy with stride 1. No multiplication by the zeros between the windows remains.

use super::Conv2d;
use super::product::{Outputs, Phase, Product, group};
use super::windows::Windows;
use crate::Cpu;
use crate::cpu::aligned;
use crate::matmul::pack::Source;
use crate::simd::LANES;

/// The taps that a remainder meets along one axis, and where they read.
struct Axis {
    /// Elements of dx with this remainder.
    outputs: usize,
    /// Taps that meet them, perhaps none.
    taps: usize,
    /// The first tap in the order of dy, the largest; the following ones are the stride smaller each.
    last: usize,
    /// Position in dy that the first tap reads for the first element.
    first: isize,
    /// Taps of the remainders before.
    before: usize,
}

impl Axis {
    fn new(conv: &Conv2d, length: usize, remainder: usize) -> Self {
        let stride = conv.stride;
        let smallest = |remainder: usize| (remainder + conv.padding) % stride;
        let count = |remainder| conv.kernel.saturating_sub(smallest(remainder)).div_ceil(stride);
        let taps = count(remainder);
        let last = smallest(remainder) + taps.saturating_sub(1) * stride;
        Self {
            outputs: length.saturating_sub(remainder).div_ceil(stride),
            taps,
            last,
            first: (remainder + conv.padding) as isize / stride as isize - (last / stride) as isize,
            before: (0..remainder).map(count).sum(),
        }
    }

    /// First position and number of positions that all remainders together read for their first elements.
    fn union(conv: &Conv2d, length: usize) -> (isize, usize) {
        let axes = (0..conv.stride).map(|remainder| Self::new(conv, length, remainder));
        let ends =
            axes.filter(|axis| axis.taps > 0).map(|axis| (axis.first, axis.first + axis.taps as isize));
        let (first, end) = ends.fold((isize::MAX, isize::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)));
        (first, (end - first) as usize)
    }
}

fn product(conv: &Conv2d, cpu: &Cpu) -> Product<impl Fn(usize) -> Phase + Sync> {
    let conv = *conv;
    let (top, rows) = Axis::union(&conv, conv.height);
    let (left, columns) = Axis::union(&conv, conv.width);
    let outputs = [conv.height.div_ceil(conv.stride), conv.width.div_ceil(conv.stride)];
    let windows = Windows {
        batch: conv.batch,
        source: [conv.out_height(), conv.out_width()],
        channels: conv.out_channels,
        outputs,
        step: 1,
        size: [rows, columns],
        first: [top, left],
        group: group(cpu, conv.in_channels, outputs[1]),
    };
    let (row, pixel) = (conv.width * conv.in_channels, conv.in_channels);
    let phase = move |index| {
        let [r, q] = [index / conv.stride, index % conv.stride];
        let [rows, columns] = axes(&conv, index);
        Phase {
            outputs: [rows.outputs, columns.outputs],
            start: r * row + q * pixel,
            size: [rows.taps, columns.taps],
            at: [(rows.first - top).max(0) as usize, (columns.first - left).max(0) as usize],
            taps_before: rows.before * conv.kernel + rows.taps * columns.before,
        }
    };
    Product {
        windows,
        columns: pixel,
        outputs: Outputs { image: conv.height * row, row: conv.stride * row, pixel: conv.stride * pixel },
        taps: conv.kernel * conv.kernel,
        phases: conv.stride * conv.stride,
        phase,
    }
}

/// Both axes of a phase.
fn axes(conv: &Conv2d, phase: usize) -> [Axis; 2] {
    [Axis::new(conv, conv.height, phase / conv.stride), Axis::new(conv, conv.width, phase % conv.stride)]
}

pub(in super::super) fn backward_data_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    let product = product(conv, cpu);
    product.weight_words() + product.scratch(cpu) + LANES
}

pub(in super::super) fn backward_data(
    conv: &Conv2d,
    cpu: &Cpu,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    conv.check(dx, weight, None, dy);
    let Conv2d { in_channels, out_channels, kernel, stride, .. } = *conv;
    let product = product(conv, cpu);
    let (packed, copies) = aligned(scratch).split_at_mut(product.weight_words());
    // Those of a tap are `[C, O]` as they lie. The taps of a window come in the order of dy.
    let tap = |phase, tap: usize| {
        let [rows, columns] = axes(conv, phase);
        let u = rows.last - tap / columns.taps * stride;
        let v = columns.last - tap % columns.taps * stride;
        Source {
            matrix: &weight[(u * kernel + v) * in_channels * out_channels..],
            stride: out_channels,
            transposed: true,
        }
    };
    product.pack(cpu, tap, packed);
    product.run(cpu, dy, packed, None, dx, &mut copies[..product.scratch(cpu)]);
}
