//! The transforms of F(4x4, 3x3) with the points 0, ±1/√2, ±√2 and infinity.
//!
//! With g the filter and d a window of 6 x 6 inputs, a tile of 4 x 4 outputs is
//!
//! ```text
//! y = A^T [(G g G^T) ⊙ (B^T d B)] A
//! ```
//!
//! and by transposition the gradient of the filter is `G^T [(B^T d B) ⊙ (A dy A^T)] G`. These points lose about five
//! times less precision than the usual 0, ±1, ±2.
//!
//! Each [`Axis`] is one of the five matrices; [`transform`] applies it to both axes.

use crate::simd::Simd;
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Rows and columns of a tile of outputs.
pub(super) const TILE: usize = 4;
/// Rows and columns of a window of inputs, and points of the transform.
pub(super) const WINDOW: usize = 6;
/// Products per tile and pair of channels.
pub(super) const FREQUENCIES: usize = WINDOW * WINDOW;

/// A matrix that is applied to both axes of an array of N x N vectors, which gives M x M vectors.
pub(super) trait Axis<const N: usize, const M: usize> {
    /// The product with one column. Must be `#[inline(always)]`.
    fn along<S: Simd>(s: S, column: [S::V; N]) -> [S::V; M];
}

/// Where vectors come from.
pub(super) trait Load {
    /// The vector of row i and column j. Must be `#[inline(always)]`.
    fn load<S: Simd>(&self, s: S, i: usize, j: usize) -> S::V;
}

/// Where vectors go to.
pub(super) trait Store<S: Simd> {
    /// Takes the vector of row i and column j. Must be `#[inline(always)]`.
    fn store(&self, s: S, i: usize, j: usize, value: S::V);
}

/// Applies a matrix to the columns, then to the rows. Closures would not be inlined, so sources are traits.
#[inline(always)]
pub(super) fn transform<S: Simd, A: Axis<N, M>, const N: usize, const M: usize>(
    s: S,
    _matrix: A,
    from: &impl Load,
    to: &impl Store<S>,
) {
    let zero = s.splat(0.0);
    let mut columns = [[zero; M]; N];
    for (j, result) in columns.iter_mut().enumerate() {
        let mut column = [zero; N];
        for (i, value) in column.iter_mut().enumerate() {
            *value = from.load(s, i, j);
        }
        *result = A::along(s, column);
    }
    for i in 0..M {
        let mut row = [zero; N];
        for (value, column) in row.iter_mut().zip(&columns) {
            *value = column[i];
        }
        for (j, value) in A::along(s, row).into_iter().enumerate() {
            to.store(s, i, j, value);
        }
    }
}

/// Vectors at two fixed distances; all of them have the same number of floats, at most a vector if not `WHOLE`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid<const WHOLE: bool> {
    start: *const f32,
    row: usize,
    column: usize,
    length: usize,
}

impl<const WHOLE: bool> Grid<WHOLE> {
    /// # Safety
    /// `length` floats (a whole vector if `WHOLE`) must be readable wherever i and j lead.
    #[inline(always)]
    pub(super) unsafe fn new(start: *const f32, row: usize, column: usize, length: usize) -> Self {
        Self { start, row, column, length }
    }
}

impl<const WHOLE: bool> Load for Grid<WHOLE> {
    #[inline(always)]
    fn load<S: Simd>(&self, s: S, i: usize, j: usize) -> S::V {
        let from = self.start.wrapping_add(i * self.row + j * self.column);
        // SAFETY: the promise of `new`.
        unsafe { load::<S, WHOLE>(s, from, self.length) }
    }
}

/// Loads `length` floats, or a whole vector.
///
/// # Safety
/// They must be readable.
#[inline(always)]
pub(super) unsafe fn load<S: Simd, const WHOLE: bool>(s: S, from: *const f32, length: usize) -> S::V {
    // SAFETY: the promise of the caller.
    unsafe {
        match WHOLE {
            true => s.load(&*from.cast()),
            false => s.load_partial(std::slice::from_raw_parts(from, length)),
        }
    }
}

/// Vectors at two fixed distances, to be written. `offset` is added to each.
#[derive(Clone, Copy)]
pub(super) struct GridMut<S: Simd, const WHOLE: bool> {
    start: *mut f32,
    distances: (usize, usize),
    exist: (usize, usize),
    length: usize,
    offset: S::V,
}

impl<S: Simd, const WHOLE: bool> GridMut<S, WHOLE> {
    /// `exist` rows and columns are written, others are dropped.
    ///
    /// # Safety
    /// `length` floats (a whole vector if `WHOLE`) must be writable wherever the existing i and j lead, and nobody else
    /// may touch them.
    #[inline(always)]
    pub(super) unsafe fn new(
        start: *mut f32,
        distances: (usize, usize),
        exist: (usize, usize),
        length: usize,
        offset: S::V,
    ) -> Self {
        Self { start, distances, exist, length, offset }
    }
}

impl<S: Simd, const WHOLE: bool> Store<S> for GridMut<S, WHOLE> {
    #[inline(always)]
    fn store(&self, s: S, i: usize, j: usize, value: S::V) {
        if i < self.exist.0 && j < self.exist.1 {
            let to = self.start.wrapping_add(i * self.distances.0 + j * self.distances.1);
            let value = s.add(value, self.offset);
            // SAFETY: the promise of `new`.
            unsafe {
                match WHOLE {
                    true => s.store(&mut *to.cast(), value),
                    false => s.store_partial(std::slice::from_raw_parts_mut(to, self.length), value),
                }
            }
        }
    }
}

/// `a * b + c` with a number for a.
#[inline(always)]
fn axpy<S: Simd>(s: S, a: f32, b: S::V, c: S::V) -> S::V {
    s.fma(s.splat(a), b, c)
}

/// `B^T d`
#[derive(Clone, Copy, Debug)]
pub(super) struct InputTransform;

impl Axis<6, 6> for InputTransform {
    #[inline(always)]
    fn along<S: Simd>(s: S, d: [S::V; 6]) -> [S::V; 6] {
        let (t1, u1) = (axpy(s, -2.0, d[2], d[4]), axpy(s, -2.0, d[1], d[3]));
        let (t3, u3) = (axpy(s, -0.5, d[2], d[4]), axpy(s, -0.5, d[1], d[3]));
        [
            s.add(axpy(s, -2.5, d[2], d[0]), d[4]),
            axpy(s, FRAC_1_SQRT_2, u1, t1),
            axpy(s, -FRAC_1_SQRT_2, u1, t1),
            axpy(s, SQRT_2, u3, t3),
            axpy(s, -SQRT_2, u3, t3),
            s.add(axpy(s, -2.5, d[3], d[1]), d[5]),
        ]
    }
}

/// `G g`
#[derive(Clone, Copy, Debug)]
pub(super) struct WeightTransform;

impl Axis<3, 6> for WeightTransform {
    #[inline(always)]
    fn along<S: Simd>(s: S, g: [S::V; 3]) -> [S::V; 6] {
        let third = s.mul(s.splat(1.0 / 3.0), g[2]);
        let p = s.sub(s.mul(s.splat(-2.0 / 3.0), g[0]), third);
        let q = axpy(s, 1.0 / 6.0, g[0], third);
        [
            g[0],
            axpy(s, -SQRT_2 / 3.0, g[1], p),
            axpy(s, SQRT_2 / 3.0, g[1], p),
            axpy(s, SQRT_2 / 6.0, g[1], q),
            axpy(s, -SQRT_2 / 6.0, g[1], q),
            g[2],
        ]
    }
}

/// `A^T m`
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputTransform;

impl Axis<6, 4> for OutputTransform {
    #[inline(always)]
    fn along<S: Simd>(s: S, m: [S::V; 6]) -> [S::V; 4] {
        let (s1, e1) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
        let (s2, e2) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
        [
            s.add(m[0], s.add(s1, s2)),
            axpy(s, FRAC_1_SQRT_2, e1, s.mul(s.splat(SQRT_2), e2)),
            axpy(s, 0.5, s1, s.add(s2, s2)),
            axpy(s, FRAC_1_SQRT_2 / 2.0, e1, axpy(s, 2.0 * SQRT_2, e2, m[5])),
        ]
    }
}

/// `A dy`
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputGradientTransform;

impl Axis<4, 6> for OutputGradientTransform {
    #[inline(always)]
    fn along<S: Simd>(s: S, y: [S::V; 4]) -> [S::V; 6] {
        let (e, o) = (axpy(s, 0.5, y[2], y[0]), axpy(s, 0.5, y[3], y[1]));
        let (f, h) = (axpy(s, 2.0, y[2], y[0]), axpy(s, 2.0, y[3], y[1]));
        [
            y[0],
            axpy(s, FRAC_1_SQRT_2, o, e),
            axpy(s, -FRAC_1_SQRT_2, o, e),
            axpy(s, SQRT_2, h, f),
            axpy(s, -SQRT_2, h, f),
            y[3],
        ]
    }
}

/// `G^T u`
#[derive(Clone, Copy, Debug)]
pub(super) struct WeightGradientTransform;

impl Axis<6, 3> for WeightGradientTransform {
    #[inline(always)]
    fn along<S: Simd>(s: S, u: [S::V; 6]) -> [S::V; 3] {
        let (s1, e1) = (s.add(u[1], u[2]), s.sub(u[1], u[2]));
        let (s2, e2) = (s.add(u[3], u[4]), s.sub(u[3], u[4]));
        [
            axpy(s, -2.0 / 3.0, s1, axpy(s, 1.0 / 6.0, s2, u[0])),
            axpy(s, SQRT_2 / 6.0, e2, s.mul(s.splat(-SQRT_2 / 3.0), e1)),
            axpy(s, 1.0 / 3.0, s.sub(s2, s1), u[5]),
        ]
    }
}
