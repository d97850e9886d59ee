//! Direct convolution: any filter, stride, padding and number of channels, all three passes.
//!
//! The forward pass and the backward pass of data are [products](product) of [windows] of the source and packed weights;
//! the backward pass of weights sums up windows times dy. Nothing is unfolded (no `im2col`): with channels last, a row
//! of a window is one run of floats in memory.

mod accumulate;
mod backward_data;
mod backward_weight;
mod forward;
mod product;
mod tile;
mod windows;

use super::Conv2d;
use crate::Cpu;

/// Scratch memory from the first boundary of a cache line on: a vector that straddles two lines costs two loads.
fn aligned(scratch: &mut [f32]) -> &mut [f32] {
    let start = scratch.as_ptr().align_offset(64).min(scratch.len());
    &mut scratch[start..]
}

pub(super) fn forward_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    forward::scratch(conv, cpu)
}
pub(super) fn backward_data_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    backward_data::scratch(conv, cpu)
}
pub(super) fn backward_weight_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    backward_weight::scratch(conv, cpu)
}

/// The micro-kernels take pointers: the lengths of the tensors are all that they rely on.
fn check(conv: &Conv2d, x: &[f32], weight: &[f32], y: &[f32]) {
    assert_eq!([x.len(), weight.len(), y.len()], [conv.x_len(), conv.weight_len(), conv.y_len()], "{conv:?}");
}

pub(super) fn forward(
    conv: &Conv2d,
    cpu: &Cpu,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    check(conv, x, weight, y);
    assert!(bias.is_none_or(|bias| bias.len() == conv.out_channels));
    forward::run(conv, cpu, x, weight, bias, y, aligned(scratch));
}

pub(super) fn backward_data(
    conv: &Conv2d,
    cpu: &Cpu,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    check(conv, dx, weight, dy);
    backward_data::run(conv, cpu, dy, weight, dx, aligned(scratch));
}

pub(super) fn backward_weight(
    conv: &Conv2d,
    cpu: &Cpu,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    scratch: &mut [f32],
) {
    check(conv, x, dweight, dy);
    backward_weight::run(conv, cpu, x, dy, dweight, aligned(scratch));
}
