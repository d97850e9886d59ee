//! Launch geometry on the GPU (being written).

use super::Matmul;
use crate::kernel::{Dispatch, GpuTraits};

pub(super) fn dispatches(_matmul: &Matmul, _gpu: &GpuTraits) -> Vec<Dispatch> {
    Vec::new()
}

pub(super) fn scratch(_matmul: &Matmul, _gpu: &GpuTraits) -> usize {
    0
}
