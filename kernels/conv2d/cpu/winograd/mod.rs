//! Winograd's method: to be written. Nothing suits it yet.

use super::Conv2d;
use crate::Cpu;

pub(super) fn forward_suits(_conv: &Conv2d) -> bool {
    false
}
pub(super) fn backward_data_suits(_conv: &Conv2d) -> bool {
    false
}
pub(super) fn backward_weight_suits(_conv: &Conv2d) -> bool {
    false
}
pub(super) fn forward_scratch(_conv: &Conv2d, _cpu: &Cpu) -> usize {
    0
}
pub(super) fn backward_data_scratch(_conv: &Conv2d, _cpu: &Cpu) -> usize {
    0
}
pub(super) fn backward_weight_scratch(_conv: &Conv2d, _cpu: &Cpu) -> usize {
    0
}
pub(super) fn forward(
    _conv: &Conv2d,
    _cpu: &Cpu,
    _x: &[f32],
    _weight: &[f32],
    _bias: Option<&[f32]>,
    _y: &mut [f32],
    _scratch: &mut [f32],
) {
}
pub(super) fn backward_data(
    _conv: &Conv2d,
    _cpu: &Cpu,
    _dy: &[f32],
    _weight: &[f32],
    _dx: &mut [f32],
    _scratch: &mut [f32],
) {
}
pub(super) fn backward_weight(
    _conv: &Conv2d,
    _cpu: &Cpu,
    _x: &[f32],
    _dy: &[f32],
    _dweight: &mut [f32],
    _scratch: &mut [f32],
) {
}
