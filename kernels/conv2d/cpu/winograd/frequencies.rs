//! Matrices for all 36 frequencies, and their products.

use super::transforms::{FREQUENCIES, Load, Store, WINDOW};
use crate::matmul::tile::{Tile, TileShape};
use crate::simd::{Isa, LANES, Simd};
use crate::threads::part;
use std::ops::Range;

/// Floats of a matrix, at most: 64 tiles and 64 channels, or fewer of these and more of those.
pub(super) const MATRIX: usize = 64 * 64;

/// Distance of the matrices of two frequencies, known to the compiler so that it need not keep 36 pointers. One cache
/// line more than a matrix: equal positions of all matrices would otherwise share few sets of the cache.
const PLANE: usize = MATRIX + LANES;

/// Floats of the matrices of all frequencies.
pub(super) const WORDS: usize = FREQUENCIES * PLANE;

/// Row-major matrices with as many columns, one for each frequency.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Floats of a row, whole vectors.
    row: usize,
}

impl Layout {
    pub(super) fn new(columns: usize) -> Self {
        Self { row: columns.next_multiple_of(LANES) }
    }
    /// Whether `words` are matrices that have so many rows and columns.
    pub(super) fn holds(&self, words: &[f32], rows: usize, columns: usize) -> bool {
        columns <= self.row && rows * self.row <= MATRIX && words.len() == WORDS
    }
    /// The vectors at this row and column of all matrices.
    #[inline(always)]
    pub(super) fn vectors(&self, words: &[f32], row: usize, column: usize) -> Vectors<*const f32> {
        let start = row * self.row + column;
        assert!(start + LANES <= MATRIX && words.len() == WORDS);
        Vectors(words[start..].as_ptr())
    }
    /// The vectors at this row and column of all matrices, to be written.
    #[inline(always)]
    pub(super) fn vectors_mut(&self, words: &mut [f32], row: usize, column: usize) -> Vectors<*mut f32> {
        let start = row * self.row + column;
        assert!(start + LANES <= MATRIX && words.len() == WORDS);
        Vectors(words[start..].as_mut_ptr())
    }
}

/// A vector of the matrix of each frequency. Only [`Layout`] makes them, and it has checked that they exist.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors<P>(P);

impl Load for Vectors<*const f32> {
    #[inline(always)]
    fn load<S: Simd>(&self, s: S, i: usize, j: usize) -> S::V {
        // SAFETY: `Layout::vectors` checked the matrices.
        s.load(unsafe { &*self.0.wrapping_add((i * WINDOW + j) * PLANE).cast() })
    }
}

impl<S: Simd> Store<S> for Vectors<*mut f32> {
    #[inline(always)]
    fn store(&self, s: S, i: usize, j: usize, value: S::V) {
        // SAFETY: `Layout::vectors_mut` checked the matrices and borrowed them.
        s.store(unsafe { &mut *self.0.wrapping_add((i * WINDOW + j) * PLANE).cast() }, value);
    }
}

/// `c = a b`, or `c += a b` unless `first`, for every frequency: `[m, k] x [k, n]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    /// The matrices of a lie transposed, as `[k, m]`.
    pub(super) a_transposed: bool,
    pub(super) first: bool,
}

impl Product {
    pub(super) fn run(
        &self,
        isa: Isa,
        (a, a_layout): (&[f32], Layout),
        (b, b_layout): (&[f32], Layout),
        (c, c_layout): (&mut [f32], Layout),
    ) {
        let Self { m, n, k, a_transposed, first } = *self;
        let shape = TileShape::of(isa);
        let n = n.next_multiple_of(LANES);
        let (a_rows, a_columns) = if a_transposed { (k, m) } else { (m, k) };
        assert!(a_layout.holds(a, a_rows, a_columns) && b_layout.holds(b, k, n) && c_layout.holds(c, m, n));
        let (a_row, a_k) = if a_transposed { (1, a_layout.row) } else { (a_layout.row, 1) };
        let groups = m.div_ceil(shape.rows);
        for frequency in 0..FREQUENCIES {
            let (a, b) = (&a[frequency * PLANE..], &b[frequency * PLANE..]);
            let c = &mut c[frequency * PLANE..];
            for group in 0..groups {
                let Range { start, end } = part(m, groups, group);
                for column in (0..n).step_by(shape.columns) {
                    let tile = Tile {
                        rows: end - start,
                        columns: shape.columns.min(n - column),
                        k,
                        a: std::array::from_fn(|third| a.as_ptr().wrapping_add((start + 3 * third) * a_row)),
                        a_row,
                        a_k,
                        b: b[column..].as_ptr(),
                        b_k: b_layout.row,
                        c: c[start * c_layout.row + column..].as_mut_ptr(),
                        c_row: c_layout.row,
                        first,
                        bias: std::ptr::null(),
                        floor: f32::NEG_INFINITY,
                    };
                    // SAFETY: the assertions above: all matrices have these rows and whole vectors of columns.
                    unsafe { tile.run(isa) };
                }
            }
        }
    }
}
