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

pub(super) use backward_data::{backward_data, backward_data_scratch};
pub(super) use backward_weight::{backward_weight, backward_weight_scratch};
pub(super) use forward::{forward, forward_scratch};
