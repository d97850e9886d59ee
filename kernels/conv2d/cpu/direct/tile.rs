//! The micro-kernel of the forward pass and of the backward pass of data: some windows times a slab of the weights.
//!
//! At every element of the windows it loads VECTORS vectors of weights and multiplies them by one broadcast float of each
//! window: on AVX-512 12 windows x 2 vectors, or 24 x 1 where there are at most 16 channels. For 24 windows x86 has too few
//! registers: then one pointer serves a group of 2 or 4 windows at equal distances.
//!
//! With at most 8 channels half of a vector would be empty. Instead its even lanes hold the weights of one element and its
//! odd lanes those of the next: the windows are read in *pairs* of floats, and neighbouring lanes are added at the end.

use crate::simd::{Isa, LANES, Simd, Vectorised};
use std::hint::black_box;

/// Most groups of windows in a tile.
pub(super) const MAX_GROUPS: usize = 12;
/// Products that are added one to another, about; then the sums of such chains are added. The error of a chain grows with
/// its length: 4,608 products in one are three times less exact.
const CHAIN: usize = 128;
/// Most columns of a slab.
const MAX_COLUMNS: usize = 2 * LANES;

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
        const { assert!(S::TILE_ROWS <= MAX_GROUPS && S::TILE_VECTORS * LANES <= MAX_COLUMNS) };
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
    /// `[rows][run][vectors of the slab]`, or in pairs, `[rows][run / 2][8][2]`.
    pub(super) weights: *const f32,
    pub(super) pairs: bool,
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
    /// Whether the outputs are overwritten; else the sums are added to them, without the bias.
    pub(super) first: bool,
}

impl Tile {
    /// Computes the tile, one chain of products after the other: whole rows of the windows, or pieces of a row.
    ///
    /// # Safety
    /// All pointers and distances must be valid for the given sizes, and nobody else may touch these outputs. Pointers to
    /// windows are valid for `groups` rounded up to the next kernel's, those of outputs need not be.
    pub(super) unsafe fn run(&self, isa: Isa) {
        if self.rows * self.run <= CHAIN {
            // SAFETY: the promise of the caller.
            return unsafe { self.chain(isa) };
        }
        let rows = (CHAIN / self.run).max(1);
        // Even, for pairs.
        let run = self.run.div_ceil(self.run.div_ceil(CHAIN)).next_multiple_of(2);
        let width = if self.pairs { LANES / 2 } else { self.columns.next_multiple_of(LANES) };
        for row in (0..self.rows).step_by(rows) {
            for start in (0..self.run).step_by(run) {
                let chain = Tile {
                    windows: self.windows.map(|window| window.wrapping_add(row * self.row + start)),
                    rows: rows.min(self.rows - row),
                    run: run.min(self.run - start),
                    weights: self.weights.wrapping_add((row * self.run + start) * width),
                    first: self.first && row + start == 0,
                    ..*self
                };
                // SAFETY: a part of the windows and of their weights.
                unsafe { chain.chain(isa) };
            }
        }
    }

    /// Computes one chain with the smallest micro-kernel that holds the tile.
    ///
    /// # Safety
    /// As for [`Tile::run`].
    #[inline]
    unsafe fn chain(&self, isa: Isa) {
        macro_rules! exact {
            ($group:literal, $vectors:literal, $pairs:literal: $($groups:literal)*) => {
                match self.groups {
                    // A function of its own for each size: inlined together they would spill accumulators.
                    $(..=$groups => isa.run(Exact::<$groups, $group, $vectors, $pairs>(self)),)*
                    _ => unreachable!("a tile has at most {MAX_GROUPS} groups"),
                }
            };
        }
        match (self.group, self.pairs, self.columns > LANES) {
            (4, true, _) => exact!(4, 1, true: 2 4 5 6),
            (4, false, _) => exact!(4, 1, false: 2 4 5 6),
            (2, true, _) => exact!(2, 1, true: 4 8 10 12),
            (2, false, _) => exact!(2, 1, false: 4 8 10 12),
            (_, true, _) => exact!(1, 1, true: 2 4 6),
            (_, false, false) => exact!(1, 1, false: 2 4 6 8 10 12),
            (_, false, true) => exact!(1, 2, false: 2 4 6 8 9 10 11 12),
        }
    }

    /// Adds the bias or the chains before and, in pairs, neighbouring lanes, and writes the outputs: any number of columns.
    ///
    /// # Safety
    /// As for [`Tile::run`]. `lanes` are the sums, `width` floats for each window.
    #[inline(never)]
    unsafe fn finish_lanes(&self, lanes: &[f32], width: usize) {
        let mut bias = [0.0; MAX_COLUMNS];
        if self.first && !self.bias.is_null() {
            // SAFETY: the promise of the caller.
            let from = unsafe { std::slice::from_raw_parts(self.bias, self.columns) };
            bias[..self.columns].copy_from_slice(from);
        }
        for (g, lanes) in lanes.chunks_exact(width * self.group).enumerate().take(self.groups) {
            for (w, lanes) in lanes.chunks_exact(width).enumerate().take(self.outputs[g]) {
                // SAFETY: the promise of the caller.
                let out = unsafe {
                    let out = self.out[g].add(w * self.out_step + self.out_column);
                    std::slice::from_raw_parts_mut(out, self.columns)
                };
                if !self.first {
                    bias[..self.columns].copy_from_slice(out);
                }
                if self.pairs {
                    write(out, lanes, &bias, |lanes, i| lanes[2 * i] + lanes[2 * i + 1]);
                } else {
                    write(out, lanes, &bias, |lanes, i| lanes[i]);
                }
            }
        }
    }
}

/// Writes all outputs of a window, without a loop if they are half a vector.
#[inline(always)]
fn write(out: &mut [f32], lanes: &[f32], bias: &[f32], sum: impl Fn(&[f32], usize) -> f32) {
    match (
        <&mut [f32; LANES / 2]>::try_from(&mut *out),
        <&[f32; LANES]>::try_from(lanes),
        bias.first_chunk::<{ LANES / 2 }>(),
    ) {
        (Ok(out), Ok(lanes), Some(bias)) => *out = std::array::from_fn(|i| sum(lanes, i) + bias[i]),
        _ => out.iter_mut().zip(bias).enumerate().for_each(|(i, (out, bias))| *out = sum(lanes, i) + bias),
    }
}

struct Exact<'a, const GROUPS: usize, const GROUP: usize, const VECTORS: usize, const PAIRS: bool>(&'a Tile);

impl<const GROUPS: usize, const GROUP: usize, const VECTORS: usize, const PAIRS: bool> Vectorised
    for Exact<'_, GROUPS, GROUP, VECTORS, PAIRS>
{
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Sizes beyond the registers of this instruction set are never asked for; do not compile them.
        if GROUPS * GROUP * VECTORS <= S::TILE_ROWS * S::TILE_VECTORS {
            // SAFETY: the promise of `Tile::run`.
            unsafe { multiply::<S, GROUPS, GROUP, VECTORS, PAIRS>(s, self.0) }
        } else {
            unreachable!(
                "a tile of {GROUPS} x {GROUP} windows and {VECTORS} vectors does not fit the registers"
            );
        }
    }
}

#[inline(always)]
unsafe fn multiply<
    S: Simd,
    const GROUPS: usize,
    const GROUP: usize,
    const VECTORS: usize,
    const PAIRS: bool,
>(
    s: S,
    tile: &Tile,
) {
    let mut sums = [[[s.splat(0.0); VECTORS]; GROUP]; GROUPS];
    let mut windows: [*const f32; GROUPS] = std::array::from_fn(|g| tile.windows[g]);
    let mut weights = tile.weights;
    for _ in 0..tile.rows {
        for k in 0..if PAIRS { tile.run / 2 } else { tile.run } {
            // Were it known that the distance is always the same, the compiler would keep a pointer to every window, more
            // than there are registers.
            let step = if GROUP > 1 { black_box(tile.step) } else { 0 };
            // SAFETY: all windows, and whole vectors of all weights, are readable (promise of the caller).
            unsafe {
                let row: [S::V; VECTORS] = std::array::from_fn(|v| s.load(&*weights.add(v * LANES).cast()));
                for (sums, window) in sums.iter_mut().zip(windows) {
                    for (w, sums) in sums.iter_mut().enumerate() {
                        let element = match PAIRS {
                            true => s.splat_pair(*window.add(2 * k + w * step).cast()),
                            false => s.splat(*window.add(k + w * step)),
                        };
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
        if !PAIRS && tile.columns == VECTORS * LANES {
            finish::<S, GROUPS, GROUP, VECTORS>(s, tile, &sums);
        } else {
            // All of them are stored first: an index into the sums would keep them in memory during the loops above.
            let mut lanes = [[[[0.0; LANES]; VECTORS]; GROUP]; GROUPS];
            for (g, sums) in sums.iter().enumerate() {
                for (w, sums) in sums.iter().enumerate() {
                    for (v, &sum) in sums.iter().enumerate() {
                        s.store(&mut lanes[g][w][v], sum);
                    }
                }
            }
            tile.finish_lanes(lanes.as_flattened().as_flattened().as_flattened(), VECTORS * LANES);
        }
    }
}

/// Adds the bias or the chains before and writes the outputs: whole vectors.
#[inline(always)]
unsafe fn finish<S: Simd, const GROUPS: usize, const GROUP: usize, const VECTORS: usize>(
    s: S,
    tile: &Tile,
    sums: &[[[S::V; VECTORS]; GROUP]; GROUPS],
) {
    let mut bias = [s.splat(0.0); VECTORS];
    if tile.first && !tile.bias.is_null() {
        // SAFETY: the promise of the caller.
        bias = std::array::from_fn(|v| unsafe { s.load(&*tile.bias.add(v * LANES).cast()) });
    }
    for (g, sums) in sums.iter().enumerate() {
        for (w, sums) in sums.iter().enumerate() {
            if g < tile.groups && w < tile.outputs[g] {
                let out = tile.out[g].wrapping_add(w * tile.out_step + tile.out_column);
                for (v, &sum) in sums.iter().enumerate() {
                    // SAFETY: the promise of the caller.
                    let out = unsafe { &mut *out.add(v * LANES).cast() };
                    let before = if tile.first { bias[v] } else { s.load(out) };
                    s.store(out, s.add(sum, before));
                }
            }
        }
    }
}
