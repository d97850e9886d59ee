//! The micro-kernel: one tile of C, all of whose sums stay in registers.
//!
//! At every k it loads VECTORS vectors of a row of B and multiplies them by ROWS broadcast elements of A: on AVX-512
//! 12 x 2 accumulators, 24 multiply-adds for 14 loads. Both sides come as pointers with strides, so A and B may lie
//! where they are or in a packed copy.

use crate::simd::{Isa, LANES, Simd, Vectorised};

/// The most rows any instruction set has in a tile.
const MAX_ROWS: usize = 12;

/// Everything that a tile needs to know. Strides are in floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile {
    /// Rows of the tile, 1 to [`TileShape::rows`].
    pub(crate) rows: usize,
    /// Columns of the tile, 1 to [`TileShape::columns`].
    pub(crate) columns: usize,
    /// Length of the sums.
    pub(crate) k: usize,
    /// Element (row, k) of A is at `a[row / 3] + (row % 3) * a_row + k * a_k`. A pointer for every three rows: they
    /// and two scaled strides reach all rows. From a single pointer the compiler would make a chain of additions
    /// through all rows, as long as the multiplications take.
    pub(crate) a: [*const f32; MAX_ROWS / 3],
    pub(crate) a_row: usize,
    pub(crate) a_k: usize,
    /// Row k of B is at `k * b_k`, whole vectors of it are readable.
    pub(crate) b: *const f32,
    pub(crate) b_k: usize,
    /// Row r of C is at `r * c_row`.
    pub(crate) c: *mut f32,
    pub(crate) c_row: usize,
    /// The first block of the sums: C is overwritten. A later one is added to C.
    pub(crate) first: bool,
    /// `columns` floats, or null. Added in the first block.
    pub(crate) bias: *const f32,
    /// Lower bound of the results: 0 in the last block before a ReLU, otherwise minus infinity.
    pub(crate) floor: f32,
}

/// Size of a full tile on an instruction set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileShape {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl TileShape {
    pub(crate) fn of(isa: Isa) -> Self {
        isa.run(Ask)
    }
}

struct Ask;

impl Vectorised for Ask {
    type Output = TileShape;
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> TileShape {
        const { assert!(S::TILE_ROWS <= MAX_ROWS && S::TILE_VECTORS <= 2) };
        TileShape { rows: S::TILE_ROWS, columns: S::TILE_VECTORS * LANES }
    }
}

impl Tile {
    /// Computes the tile with a micro-kernel of exactly its rows and vectors.
    ///
    /// # Safety
    /// All pointers and strides must be valid for the given sizes, and nobody else may touch this tile of C.
    #[inline]
    pub(crate) unsafe fn run(self, isa: Isa) {
        macro_rules! exact {
            ($vectors:literal: $($rows:literal)*) => {
                match self.rows {
                    // A function of its own for each size: inlined together they would spill accumulators.
                    $($rows => isa.run(Exact::<$rows, $vectors>(&self)),)*
                    _ => unreachable!("tiles have 1 to {MAX_ROWS} rows"),
                }
            };
        }
        if self.columns <= LANES {
            exact!(1: 1 2 3 4 5 6 7 8 9 10 11 12);
        } else {
            exact!(2: 1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }
}

struct Exact<'a, const ROWS: usize, const VECTORS: usize>(&'a Tile);

impl<const ROWS: usize, const VECTORS: usize> Vectorised for Exact<'_, ROWS, VECTORS> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Sizes beyond the registers of this instruction set are never asked for; do not compile them.
        if ROWS <= S::TILE_ROWS && VECTORS <= S::TILE_VECTORS {
            // SAFETY: the promise of `Tile::run`.
            unsafe { tile::<S, ROWS, VECTORS>(s, self.0) }
        } else {
            unreachable!("a tile of {ROWS} rows and {VECTORS} vectors does not fit the registers");
        }
    }
}

#[inline(always)]
unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(s: S, tile: &Tile) {
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.k {
        // SAFETY: whole vectors of every row of B, and all rows of A, are readable (promise of the caller).
        unsafe {
            let row: [S::V; VECTORS] = std::array::from_fn(|v| s.load(&*b.add(v * LANES).cast()));
            for (r, sums) in sums.iter_mut().enumerate() {
                let element = s.splat(*a[r / 3].add(r % 3 * tile.a_row));
                for (sum, b) in sums.iter_mut().zip(row) {
                    *sum = s.fma(element, b, *sum);
                }
            }
        }
        // Wrapping: behind the last k the pointers may leave the matrix.
        a = a.map(|a| a.wrapping_add(tile.a_k));
        b = b.wrapping_add(tile.b_k);
    }
    // SAFETY: this tile of C is ours alone, and `bias` is null or has `columns` floats.
    unsafe {
        if tile.columns == VECTORS * LANES {
            finish::<S, ROWS, VECTORS, true>(s, tile, &sums);
        } else {
            finish::<S, ROWS, VECTORS, false>(s, tile, &sums);
        }
    }
}

/// Adds the bias or the earlier blocks, applies the lower bound, writes C.
#[inline(always)]
unsafe fn finish<S: Simd, const ROWS: usize, const VECTORS: usize, const FULL: bool>(
    s: S,
    tile: &Tile,
    sums: &[[S::V; VECTORS]; ROWS],
) {
    let floor = s.splat(tile.floor);
    let length = |v: usize| if FULL { LANES } else { (tile.columns - v * LANES).min(LANES) };
    // SAFETY: the promise of the caller.
    let load = |from: *const f32, v: usize| unsafe {
        let from = from.add(v * LANES);
        if FULL { s.load(&*from.cast()) } else { s.load_partial(std::slice::from_raw_parts(from, length(v))) }
    };
    let mut bias = [s.splat(0.0); VECTORS];
    if !tile.bias.is_null() {
        bias = std::array::from_fn(|v| load(tile.bias, v));
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            let c = tile.c.wrapping_add(r * tile.c_row);
            let total = s.add(sum, if tile.first { bias[v] } else { load(c, v) });
            // In this order a NaN in `total` stays a NaN.
            let result = s.max(floor, total);
            // SAFETY: the promise of the caller.
            unsafe {
                let to = c.add(v * LANES);
                if FULL {
                    s.store(&mut *to.cast(), result);
                } else {
                    s.store_partial(std::slice::from_raw_parts_mut(to, length(v)), result);
                }
            }
        }
    }
}
