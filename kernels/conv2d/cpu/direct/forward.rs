//! The forward pass: a product of windows and weights in one phase.

use super::Conv2d;
use super::product::{Outputs, Phase, Product, group};
use super::windows::Windows;
use crate::Cpu;
use crate::cpu::aligned;
use crate::matmul::pack::Source;
use crate::simd::LANES;

fn product(conv: &Conv2d, cpu: &Cpu) -> Product<impl Fn(usize) -> Phase + Sync> {
    let (outputs, channels) = ([conv.out_height(), conv.out_width()], conv.out_channels);
    let (size, taps) = ([conv.kernel; 2], conv.kernel * conv.kernel);
    let windows = Windows {
        batch: conv.batch,
        source: [conv.height, conv.width],
        channels: conv.in_channels,
        outputs,
        step: conv.stride,
        size,
        first: [-(conv.padding as isize); 2],
        group: group(cpu, channels, outputs[1]),
    };
    let row = outputs[1] * channels;
    Product {
        windows,
        columns: channels,
        outputs: Outputs { image: outputs[0] * row, row, pixel: channels },
        taps,
        phases: 1,
        phase: move |_| Phase { outputs, start: 0, size, at: [0; 2], taps_before: 0 },
    }
}

pub(in super::super) fn forward_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    let product = product(conv, cpu);
    product.weight_words() + product.scratch(cpu) + LANES
}

pub(in super::super) fn forward(
    conv: &Conv2d,
    cpu: &Cpu,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    conv.check(x, weight, bias, y);
    let product = product(conv, cpu);
    let (packed, copies) = aligned(scratch).split_at_mut(product.weight_words());
    // The weight is `[window][O]` as it lies.
    let tap = |_, tap: usize| Source {
        matrix: &weight[tap * conv.in_channels * conv.out_channels..],
        stride: conv.out_channels,
        transposed: false,
    };
    product.pack(cpu, tap, packed);
    product.run(cpu, x, packed, bias, y, &mut copies[..product.scratch(cpu)]);
}
