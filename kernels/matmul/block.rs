//! A small product on one thread: its operands lie in the cache, and nothing is packed.

use super::tile::{Tile, TileShape};
use crate::simd::Isa;
use crate::threads::part;

/// `C = A B`, or `C += A B`. Strides are in floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Rows of C.
    pub(crate) m: usize,
    /// Columns of C.
    pub(crate) n: usize,
    /// Length of the sums.
    pub(crate) k: usize,
    /// Element (row, k) of A is at `row * a_row + k * a_k`.
    pub(crate) a: *const f32,
    pub(crate) a_row: usize,
    pub(crate) a_k: usize,
    /// Row k of B is at `k * b_k`; whole vectors of it are readable.
    pub(crate) b: *const f32,
    pub(crate) b_k: usize,
    /// Row r of C is at `r * c_row`.
    pub(crate) c: *mut f32,
    pub(crate) c_row: usize,
    /// C is overwritten; else the product is added to it.
    pub(crate) first: bool,
    /// `n` floats that are added to every row of the first product, or null.
    pub(crate) bias: *const f32,
}

impl Block {
    /// Computes the product.
    ///
    /// # Safety
    /// All pointers and strides must be valid for the given sizes, and nobody else may touch these elements of C.
    pub(crate) unsafe fn run(&self, isa: Isa) {
        let shape = TileShape::of(isa);
        let tiles = self.m.div_ceil(shape.rows);
        for tile in 0..tiles {
            let rows = part(self.m, tiles, tile);
            for column in (0..self.n).step_by(shape.columns) {
                let tile = Tile {
                    rows: rows.len(),
                    columns: shape.columns.min(self.n - column),
                    k: self.k,
                    a: std::array::from_fn(|group| {
                        self.a.wrapping_add((rows.start + 3 * group) * self.a_row)
                    }),
                    a_row: self.a_row,
                    a_k: self.a_k,
                    b: self.b.wrapping_add(column),
                    b_k: self.b_k,
                    c: self.c.wrapping_add(rows.start * self.c_row + column),
                    c_row: self.c_row,
                    first: self.first,
                    bias: if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(column) },
                    floor: f32::NEG_INFINITY,
                };
                // SAFETY: the promise of the caller, for a part of C.
                unsafe { tile.run(isa) };
            }
        }
    }
}
