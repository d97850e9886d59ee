//! Matrices for all 36 frequencies, and their products.

use super::transforms::{FREQUENCIES, Grid, Store, WINDOW};
use crate::matmul::tile::{Tile, TileShape};
use crate::simd::{Isa, LANES, Simd};

/// How 36 matrices of equal size lie in memory: row-major, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Floats of a row, whole vectors.
    pub(super) row: usize,
    /// Distance of two matrices.
    pub(super) plane: usize,
}

impl Layout {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        let row = columns.next_multiple_of(LANES);
        // One cache line more: equal positions of all matrices would otherwise share few sets of the cache.
        Self { row, plane: rows * row + LANES }
    }
    /// Where vectors of all frequencies go, and come from: those at `start` of every matrix.
    ///
    /// # Safety
    /// `start` must lie in the first of these matrices, at a whole vector.
    #[inline(always)]
    pub(super) unsafe fn vectors(&self, start: *const f32) -> Grid<true> {
        // SAFETY: the promise of the caller.
        unsafe { Grid::new(start, WINDOW * self.plane, self.plane, LANES) }
    }
    /// Floats of all matrices.
    pub(super) fn words(&self) -> usize {
        FREQUENCIES * self.plane
    }
}

/// A vector of each of these matrices, to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors {
    start: *mut f32,
    plane: usize,
}

impl Vectors {
    /// # Safety
    /// `start` must lie in the first of the matrices of this layout, at a whole vector, and nobody else may touch this
    /// vector of any matrix.
    #[inline(always)]
    pub(super) unsafe fn new(start: *mut f32, layout: Layout) -> Self {
        Self { start, plane: layout.plane }
    }
}

impl<S: Simd> Store<S> for Vectors {
    #[inline(always)]
    fn store(&self, s: S, i: usize, j: usize, value: S::V) {
        let to = self.start.wrapping_add((i * WINDOW + j) * self.plane);
        // SAFETY: the promise of `new`.
        s.store(unsafe { &mut *to.cast() }, value);
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
        let holds = |layout: Layout, rows: usize, columns: usize, len: usize| {
            columns <= layout.row && rows * layout.row <= layout.plane && layout.words() <= len
        };
        assert!(holds(a_layout, a_rows, a_columns, a.len()));
        assert!(holds(b_layout, k, n, b.len()) && holds(c_layout, m, n, c.len()));
        let (a_row, a_k) = if a_transposed { (1, a_layout.row) } else { (a_layout.row, 1) };
        let groups = m.div_ceil(shape.rows);
        for frequency in 0..FREQUENCIES {
            let (a, b) = (&a[frequency * a_layout.plane..], &b[frequency * b_layout.plane..]);
            let c = &mut c[frequency * c_layout.plane..];
            for group in 0..groups {
                let (start, end) = (group * m / groups, (group + 1) * m / groups);
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
