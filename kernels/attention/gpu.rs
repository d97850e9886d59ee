use super::Attention;
use crate::{Dispatch, GpuTraits};
pub(super) fn forward(_: &Attention, _: &GpuTraits) -> Vec<Dispatch> { Vec::new() }
pub(super) fn backward(_: &Attention, _: &GpuTraits) -> Vec<Dispatch> { Vec::new() }
pub(super) fn scratch(_: &Attention, _: &GpuTraits) -> usize { 0 }
