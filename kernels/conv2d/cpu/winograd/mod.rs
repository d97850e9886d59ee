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
use crate::simd::LANES;
use std::ops::Range;
use transforms::TILE;

pub(super) use backward_weight::{backward_weight, backward_weight_scratch};
pub(super) use forward::{backward_data, backward_data_scratch, forward, forward_scratch};

/// The most channels that are transformed together.
const CHANNELS: usize = 64;

/// With fewer channels on either side, hardly anything is left of the transformed operands to multiply.
const FEWEST_CHANNELS: usize = LANES;
/// With fewer tiles, the transforms of the weight take longer than the direct method.
const FEWEST_TILES: usize = 16;

/// Whether the method is faster than the direct one; it is correct for all filters of this size.
pub(super) fn forward_suits(conv: &Conv2d) -> bool {
    if conv.kernel != 3 || conv.stride != 1 || conv.padding > 2 {
        return false;
    }
    let tiles = Tiles::new(conv).count;
    let pixels = conv.batch * conv.out_height() * conv.out_width();
    // Tiles at the edge are computed whole. If fewer than half of all pixels exist, that takes too long.
    let full = 2 * pixels >= tiles * TILE * TILE;
    full && tiles >= FEWEST_TILES && conv.in_channels.min(conv.out_channels) >= FEWEST_CHANNELS
}
pub(super) fn backward_data_suits(conv: &Conv2d) -> bool {
    conv.padding <= 2 && conv.kernel == 3 && forward_suits(&forward::backward(conv))
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
    batch: usize,
    rows: usize,
    columns: usize,
    count: usize,
}

/// A tile of the output: its image, first row and first column.
#[derive(Clone, Copy, Debug)]
struct Tile {
    image: usize,
    row: usize,
    column: usize,
}

impl Tiles {
    fn new(conv: &Conv2d) -> Self {
        let (rows, columns) = (conv.out_height().div_ceil(TILE), conv.out_width().div_ceil(TILE));
        Self { batch: conv.batch, rows, columns, count: conv.batch * rows * columns }
    }
    fn at(&self, tile: usize) -> Tile {
        let row = tile / self.columns;
        Tile { image: row / self.rows, row: row % self.rows * TILE, column: tile % self.columns * TILE }
    }
    /// The tile that follows.
    #[inline(always)]
    fn next(&self, tile: Tile) -> Tile {
        let Tile { image, row, column } = tile;
        if column + TILE < self.columns * TILE {
            Tile { image, row, column: column + TILE }
        } else if row + TILE < self.rows * TILE {
            Tile { image, row: row + TILE, column: 0 }
        } else {
            Tile { image: image + 1, row: 0, column: 0 }
        }
    }
}

#[cfg(test)]
mod tests;
