//! Convolution on the CPU: which method computes which shape.
//!
//! [`winograd`] serves 3x3 filters with stride 1 where it is allowed and faster; [`direct`] serves everything.

mod direct;
mod winograd;

use super::{Conv2d, Conv2dBackwardData, Conv2dBackwardWeight, Conv2dForward};
use crate::Cpu;

pub(super) fn forward_scratch(kernel: &Conv2dForward, cpu: &Cpu) -> usize {
    match kernel.winograd && winograd::forward_suits(&kernel.conv) {
        true => winograd::forward_scratch(&kernel.conv, cpu),
        false => direct::forward_scratch(&kernel.conv, cpu),
    }
}

pub(super) fn forward(
    kernel: &Conv2dForward,
    cpu: &Cpu,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    match kernel.winograd && winograd::forward_suits(&kernel.conv) {
        true => winograd::forward(&kernel.conv, cpu, x, weight, bias, y, scratch),
        false => direct::forward(&kernel.conv, cpu, x, weight, bias, y, scratch),
    }
}

pub(super) fn backward_data_scratch(kernel: &Conv2dBackwardData, cpu: &Cpu) -> usize {
    match kernel.winograd && winograd::backward_data_suits(&kernel.conv) {
        true => winograd::backward_data_scratch(&kernel.conv, cpu),
        false => direct::backward_data_scratch(&kernel.conv, cpu),
    }
}

pub(super) fn backward_data(
    kernel: &Conv2dBackwardData,
    cpu: &Cpu,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    match kernel.winograd && winograd::backward_data_suits(&kernel.conv) {
        true => winograd::backward_data(&kernel.conv, cpu, dy, weight, dx, scratch),
        false => direct::backward_data(&kernel.conv, cpu, dy, weight, dx, scratch),
    }
}

/// The convolution of one group of images.
fn of_group(kernel: &Conv2dBackwardWeight) -> Conv2d {
    Conv2d { batch: kernel.conv.batch / kernel.groups, ..kernel.conv }
}

pub(super) fn backward_weight_scratch(kernel: &Conv2dBackwardWeight, cpu: &Cpu) -> usize {
    let conv = of_group(kernel);
    match kernel.winograd && winograd::backward_weight_suits(&conv) {
        true => winograd::backward_weight_scratch(&conv, cpu),
        false => direct::backward_weight_scratch(&conv, cpu),
    }
}

pub(super) fn backward_weight(
    kernel: &Conv2dBackwardWeight,
    cpu: &Cpu,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    scratch: &mut [f32],
) {
    let conv = of_group(kernel);
    let images = x.chunks_exact(conv.x_len()).zip(dy.chunks_exact(conv.y_len()));
    for ((x, dy), dweight) in images.zip(dweight.chunks_exact_mut(conv.weight_len())) {
        match kernel.winograd && winograd::backward_weight_suits(&conv) {
            true => winograd::backward_weight(&conv, cpu, x, dy, dweight, scratch),
            false => direct::backward_weight(&conv, cpu, x, dy, dweight, scratch),
        }
    }
}
