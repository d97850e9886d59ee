//! The launches on a GPU: to be written.

use super::{Conv2dBackwardData, Conv2dBackwardWeight, Conv2dForward};
use crate::kernel::{Dispatch, GpuTraits};

pub(super) fn forward(_kernel: &Conv2dForward, _gpu: &GpuTraits) -> Vec<Dispatch> {
    Vec::new()
}
pub(super) fn forward_scratch(_kernel: &Conv2dForward, _gpu: &GpuTraits) -> usize {
    0
}
pub(super) fn backward_data(_kernel: &Conv2dBackwardData, _gpu: &GpuTraits) -> Vec<Dispatch> {
    Vec::new()
}
pub(super) fn backward_data_scratch(_kernel: &Conv2dBackwardData, _gpu: &GpuTraits) -> usize {
    0
}
pub(super) fn backward_weight(_kernel: &Conv2dBackwardWeight, _gpu: &GpuTraits) -> Vec<Dispatch> {
    Vec::new()
}
pub(super) fn backward_weight_scratch(_kernel: &Conv2dBackwardWeight, _gpu: &GpuTraits) -> usize {
    0
}
