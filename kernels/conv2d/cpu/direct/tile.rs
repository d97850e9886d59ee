//! The micro-kernel of the forward pass and of the backward pass of data: some windows times a slab of the weights.
//!
//! At every element of the windows it loads VECTORS vectors of weights and multiplies them by one broadcast float of each
//! window: on AVX-512 12 windows x 2 vectors, or 24 x 1 where there are at most 16 channels. For 24 windows x86 has too few
//! registers: then one pointer serves a group of 2 or 4 windows at equal distances.

use crate::simd::{Isa, LANES, Simd, Vectorised};
use std::hint::black_box;

/// Most groups of windows in a tile.
pub(super) const MAX_GROUPS: usize = 24;

/// Accumulators of a tile: windows x vectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileShape {
    /// Windows if a slab has `vectors` vectors.
    pub(super) rows: usize,
    /// Vectors of a slab, at most.
    pub(super) vectors: usize,
}

impl TileShape {
    pub(super) fn of(isa: Isa) -> Self {
        isa.run(Ask)
    }

    /// Windows of a tile if the weights have so many columns.
    pub(super) fn rows_for(&self, columns: usize) -> usize {
        if columns <= LANES { self.rows * self.vectors } else { self.rows }
    }
}

struct Ask;

impl Vectorised for Ask {
    type Output = TileShape;
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> TileShape {
        const { assert!(S::TILE_ROWS * S::TILE_VECTORS <= MAX_GROUPS && S::TILE_VECTORS <= 2) };
        TileShape { rows: S::TILE_ROWS, vectors: S::TILE_VECTORS }
    }
}

/// Everything that a tile needs to know. Distances are in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Groups of windows.
    pub(super) groups: usize,
    /// Windows per group: 1, 2 or 4.
    pub(super) group: usize,
    /// The first window of every group.
    pub(super) windows: [*const f32; MAX_GROUPS],
    /// Distance of the windows of a group.
    pub(super) step: usize,
    /// Rows of a window, their distance, and their length.
    pub(super) rows: usize,
    pub(super) row: usize,
    pub(super) run: usize,
    /// `[rows][run][vectors of the slab]`.
    pub(super) weights: *const f32,
    /// Columns of the slab that are written.
    pub(super) columns: usize,
    /// Where the outputs of every group begin, their distance, and how many of them there are.
    pub(super) out: [*mut f32; MAX_GROUPS],
    pub(super) out_step: usize,
    pub(super) outputs: [usize; MAX_GROUPS],
    /// Added to all of these pointers.
    pub(super) out_column: usize,
    /// `columns` floats, or null.
    pub(super) bias: *const f32,
}

impl Tile {
    /// Computes the tile with the smallest micro-kernel that holds it.
    ///
    /// # Safety
    /// All pointers and distances must be valid for the given sizes, and nobody else may touch these outputs. Pointers to
    /// windows are valid for `groups` rounded up to the next kernel's, those of outputs need not be.
    #[inline]
    pub(super) unsafe fn run(&self, isa: Isa) {
        macro_rules! exact {
            ($group:literal, $vectors:literal: $($groups:literal)*) => {
                match self.groups {
                    // A function of its own for each size: inlined together they would spill accumulators.
                    $(..=$groups => isa.run(Exact::<$groups, $group, $vectors>(self)),)*
                    _ => unreachable!("a tile has at most {MAX_GROUPS} groups"),
                }
            };
        }
        match (self.group, self.columns > LANES) {
            (4, _) => exact!(4, 1: 1 2 3 4 5 6),
            (2, _) => exact!(2, 1: 2 4 6 8 10 12),
            (_, false) => exact!(1, 1: 1 2 4 6 12 18 24),
            (_, true) => exact!(1, 2: 2 4 6 8 10 12),
        }
    }
}

struct Exact<'a, const GROUPS: usize, const GROUP: usize, const VECTORS: usize>(&'a Tile);

impl<const GROUPS: usize, const GROUP: usize, const VECTORS: usize> Vectorised
    for Exact<'_, GROUPS, GROUP, VECTORS>
{
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Sizes beyond the registers of this instruction set are never asked for; do not compile them.
        if GROUPS * GROUP * VECTORS <= S::TILE_ROWS * S::TILE_VECTORS {
            // SAFETY: the promise of `Tile::run`.
            unsafe { multiply::<S, GROUPS, GROUP, VECTORS>(s, self.0) }
        } else {
            unreachable!(
                "a tile of {GROUPS} x {GROUP} windows and {VECTORS} vectors does not fit the registers"
            );
        }
    }
}

#[inline(always)]
unsafe fn multiply<S: Simd, const GROUPS: usize, const GROUP: usize, const VECTORS: usize>(
    s: S,
    tile: &Tile,
) {
    let mut sums = [[[s.splat(0.0); VECTORS]; GROUP]; GROUPS];
    let mut windows: [*const f32; GROUPS] = std::array::from_fn(|g| tile.windows[g]);
    let mut weights = tile.weights;
    for _ in 0..tile.rows {
        for k in 0..tile.run {
            // Were it known that the distance is always the same, the compiler would keep a pointer to every window, more
            // than there are registers.
            let step = if GROUP > 1 { black_box(tile.step) } else { 0 };
            // SAFETY: all windows, and whole vectors of all weights, are readable (promise of the caller).
            unsafe {
                let row: [S::V; VECTORS] = std::array::from_fn(|v| s.load(&*weights.add(v * LANES).cast()));
                for (sums, window) in sums.iter_mut().zip(windows) {
                    for (w, sums) in sums.iter_mut().enumerate() {
                        let element = s.splat(*window.add(k).add(w * step));
                        for (sum, weight) in sums.iter_mut().zip(row) {
                            *sum = s.fma(element, weight, *sum);
                        }
                    }
                }
            }
            weights = weights.wrapping_add(VECTORS * LANES);
        }
        // Wrapping: behind the last row the pointers may leave the source.
        for window in &mut windows {
            *window = window.wrapping_add(tile.row);
        }
    }
    // SAFETY: these outputs are ours alone, and `bias` is null or has `columns` floats.
    unsafe {
        if tile.columns == VECTORS * LANES {
            finish::<S, GROUPS, GROUP, VECTORS, true>(s, tile, &sums);
        } else {
            finish::<S, GROUPS, GROUP, VECTORS, false>(s, tile, &sums);
        }
    }
}

/// Adds the bias and writes the outputs.
#[inline(always)]
unsafe fn finish<S: Simd, const GROUPS: usize, const GROUP: usize, const VECTORS: usize, const FULL: bool>(
    s: S,
    tile: &Tile,
    sums: &[[[S::V; VECTORS]; GROUP]; GROUPS],
) {
    let length = |v: usize| if FULL { LANES } else { (tile.columns - v * LANES).min(LANES) };
    let mut bias = [s.splat(0.0); VECTORS];
    if !tile.bias.is_null() {
        // SAFETY: the promise of the caller.
        bias = std::array::from_fn(|v| unsafe {
            s.load_partial(std::slice::from_raw_parts(tile.bias.add(v * LANES), length(v)))
        });
    }
    for (g, sums) in sums.iter().enumerate() {
        for (w, sums) in sums.iter().enumerate() {
            if g >= tile.groups || w >= tile.outputs[g] {
                continue;
            }
            let out = tile.out[g].wrapping_add(w * tile.out_step + tile.out_column);
            for (v, &sum) in sums.iter().enumerate() {
                let result = s.add(sum, bias[v]);
                // SAFETY: the promise of the caller.
                unsafe {
                    let to = out.add(v * LANES);
                    if FULL {
                        s.store(&mut *to.cast(), result);
                    } else {
                        s.store_partial(std::slice::from_raw_parts_mut(to, length(v)), result);
                    }
                }
            }
        }
    }
}
