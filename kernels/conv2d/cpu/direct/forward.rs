//! The forward pass: one product of windows and weights.

use super::product::{Outputs, Product};
use super::windows::Windows;
use crate::Cpu;
use crate::conv2d::Conv2d;
use crate::matmul::pack::Source;
use crate::simd::LANES;

fn product(conv: &Conv2d, cpu: &Cpu) -> Product {
    let (rows, columns, channels) = (conv.out_height(), conv.out_width(), conv.out_channels);
    let first = -(conv.padding as isize);
    let windows = Windows {
        batch: conv.batch,
        source: [conv.height, conv.width],
        channels: conv.in_channels,
        outputs: [rows, columns],
        step: conv.stride,
        size: [conv.kernel; 2],
        first: [first; 2],
        group: 1,
    };
    let outputs =
        Outputs { start: 0, image: rows * columns * channels, row: columns * channels, pixel: channels };
    Product::new(windows, channels, outputs, cpu)
}

pub(super) fn scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    let product = product(conv, cpu);
    product.weight_words() + product.scratch(cpu) + LANES
}

pub(super) fn run(
    conv: &Conv2d,
    cpu: &Cpu,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    let product = product(conv, cpu);
    let (packed, copies) = scratch.split_at_mut(product.weight_words());
    // The weight is `[window][O]` as it lies: one block per tap.
    let taps = conv.kernel * conv.kernel;
    let block = |tap: usize| Source {
        matrix: &weight[tap * conv.in_channels * conv.out_channels..],
        stride: conv.out_channels,
        transposed: false,
    };
    product.pack(cpu, taps, block, packed);
    product.run(cpu, x, packed, bias, y, &mut copies[..product.scratch(cpu)]);
}
