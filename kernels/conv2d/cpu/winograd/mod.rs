//! Winograd's method F(4x4, 3x3) for 3x3 filters with stride 1: 36 products per tile of 16 outputs instead of 144.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; the points are those of [`transforms`].
//!
//! The images are cut into tiles of 4 x 4 outputs (T in all, those at the edge may be partial). Each pass becomes 36
//! matrix products, one per frequency ξ, between transformed operands:
//!
//! ```text
//! forward          M[ξ] = V[ξ] U[ξ]       [T, C] x [C, O]     V from x, U from the weight, M becomes y
//! backward_data    the same with dy for x, the filter mirrored, its channels exchanged, and padding 2 - p
//! backward_weight  dU[ξ] = V[ξ]^T Z[ξ]    [C, T] x [T, O]     V from x, Z from dy, dU becomes dweight
//! ```
//!
//! All three sizes of these products are cut into blocks of about 64, so that a block of V, U and M for all 36
//! frequencies stays in the second-level cache of its thread. Blocks are transformed again whenever they are needed:
//! that is cheaper than to fetch transformed matrices, which are 2.25 (x) and 4 (weight) times as large as what they
//! come from, through the caches that threads share.

mod backward_weight;
mod forward;
mod frequencies;
mod transforms;
mod windows;

use super::Conv2d;
use crate::Cpu;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use transforms::TILE;

pub(super) use backward_weight::{backward_weight, backward_weight_scratch};
pub(super) use forward::{backward_data, backward_data_scratch, forward, forward_scratch};

/// Tiles that are transformed together.
const TILES: usize = 64;
/// Channels that are transformed together.
const CHANNELS: usize = 64;

pub(super) fn forward_suits(conv: &Conv2d) -> bool {
    conv.kernel == 3 && conv.stride == 1 && conv.padding <= 2
}
pub(super) fn backward_data_suits(conv: &Conv2d) -> bool {
    forward_suits(conv)
}
pub(super) fn backward_weight_suits(conv: &Conv2d) -> bool {
    forward_suits(conv)
}

/// A length cut into nearly equal parts at multiples of `unit`.
#[derive(Clone, Copy, Debug)]
struct Cut {
    total: usize,
    unit: usize,
    parts: usize,
}

impl Cut {
    /// Parts of at most `longest`, a multiple of `unit`.
    fn new(total: usize, longest: usize, unit: usize) -> Self {
        Self { total, unit, parts: total.div_ceil(longest) }
    }
    fn part(&self, index: usize) -> Range<usize> {
        let units = self.total.div_ceil(self.unit);
        let at = |index: usize| (index * units / self.parts * self.unit).min(self.total);
        at(index)..at(index + 1)
    }
    /// The length that no part exceeds.
    fn longest(&self) -> usize {
        self.total.div_ceil(self.unit).div_ceil(self.parts) * self.unit
    }
}

/// The tiles of the output, image after image, row after row.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    rows: usize,
    columns: usize,
    count: usize,
}

impl Tiles {
    fn new(conv: &Conv2d) -> Self {
        let (rows, columns) = (conv.out_height().div_ceil(TILE), conv.out_width().div_ceil(TILE));
        Self { rows, columns, count: conv.batch * rows * columns }
    }
    /// Image, first row and first column of a tile.
    fn at(&self, tile: usize) -> (usize, usize, usize) {
        let row = tile / self.columns;
        (row / self.rows, row % self.rows * TILE, tile % self.columns * TILE)
    }
}

/// Scratch memory from its first whole cache line on.
fn aligned(scratch: &mut [f32]) -> &mut [f32] {
    let start = scratch.as_ptr().align_offset(64).min(scratch.len());
    &mut scratch[start..]
}

/// Runs units of work, each with scratch memory that no other running unit uses.
fn run_units(
    cpu: &Cpu,
    units: usize,
    scratch: &mut [f32],
    words: usize,
    unit: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    let next = AtomicUsize::new(0);
    let slots = cpu.threads.count().min(units);
    cpu.threads.chunks_mut(&mut scratch[..slots * words], words, &|_, scratch| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= units {
                break;
            }
            unit(index, scratch);
        }
    });
}

#[cfg(test)]
mod tests;
