//! Copies of A and B in the order in which the micro-kernel reads them.

use crate::simd::{Isa, LANES};
use std::ops::Range;

/// Some rows of op(A)^T or op(B), which both have k rows, where they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// Starts at column 0 of the first of these rows.
    pub(crate) matrix: &'a [f32],
    /// Distance of two rows, or of two columns if `transposed`.
    pub(crate) stride: usize,
    /// The elements of a column are adjacent, not those of a row.
    pub(crate) transposed: bool,
}

/// Some columns of a matrix, copied as `[k][width]` with zeros behind the last column.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) columns: Range<usize>,
    pub(crate) width: usize,
}

/// Fills `to` with adjacent panels of k rows, one after the other.
pub(crate) fn pack(
    isa: Isa,
    source: Source,
    k: usize,
    panels: impl Iterator<Item = Panel> + Clone,
    to: &mut [f32],
) {
    if source.transposed {
        let mut rest = to;
        for panel in panels {
            let (to, behind) = rest.split_at_mut(k * panel.width);
            let b = &source.matrix[panel.columns.start * source.stride..];
            transpose(isa, b, source.stride, panel.columns.len(), to, panel.width);
            rest = behind;
        }
        return;
    }
    // A row of all panels at a time: the rows may lie on different pages of memory.
    for (index, row) in source.matrix.chunks(source.stride).take(k).enumerate() {
        let mut start = 0;
        for Panel { columns, width } in panels.clone() {
            fetch(&row[columns.clone()], AHEAD * source.stride);
            let to = &mut to[start + index * width..][..width];
            copy(&row[columns.clone()], to);
            start += k * width;
        }
    }
}

/// Rows that are asked for before they are copied: the processor looks ahead to the end of a page only, which is one row or
/// two.
const AHEAD: usize = 2;

/// Asks for the cache lines that lie `distance` floats behind `row`, where there are any.
#[inline(always)]
fn fetch(row: &[f32], distance: usize) {
    #[cfg(target_arch = "x86_64")]
    for start in (0..row.len()).step_by(LANES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = row.as_ptr().wrapping_add(distance + start);
        // SAFETY: nothing is read: an address that does not exist is ignored.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, distance);
}

/// Copies `from` and fills with zeros; the usual lengths without a call of memcpy.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    macro_rules! exact {
        ($($length:literal)*) => {
            match (from.len(), to.len()) {
                $(($length, $length) => {
                    let from: &[f32; $length] = from.try_into().expect("lengths are equal");
                    to.copy_from_slice(from);
                })*
                (length, _) => {
                    to[..length].copy_from_slice(from);
                    to[length..].fill(0.0);
                }
            }
        };
    }
    exact!(32 16 12 11 6 5);
}

/// Side of the square blocks that are transposed in registers.
const BLOCK: usize = 8;

/// Values of k that are transposed for all columns before the next ones: their part of the panel stays in L1.
const STRIP: usize = 64;

/// Fills `[k][width]` with columns that lie `stride` apart, each with its k elements adjacent.
pub(crate) fn transpose(isa: Isa, from: &[f32], stride: usize, columns: usize, to: &mut [f32], width: usize) {
    let k = to.len() / width;
    for (strip, to) in to.chunks_mut(STRIP * width).enumerate() {
        let from = &from[strip * STRIP..];
        let whole_columns = columns / BLOCK * BLOCK;
        let whole_k = STRIP.min(k - strip * STRIP) / BLOCK * BLOCK;
        #[cfg(target_arch = "x86_64")]
        let done = if isa.has_avx() {
            // SAFETY: the set includes AVX.
            unsafe { x86::transpose(from, stride, whole_columns, to, width, whole_k) };
            whole_k
        } else {
            0
        };
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        transpose_plain(from, stride, 0..whole_columns, to, width, done);
        transpose_plain(from, stride, whole_columns..columns, to, width, 0);
        if columns < width {
            to.chunks_exact_mut(width).for_each(|row| row[columns..].fill(0.0));
        }
    }
}

/// Some columns from `k_start` on, element by element.
fn transpose_plain(
    from: &[f32],
    stride: usize,
    columns: Range<usize>,
    to: &mut [f32],
    width: usize,
    k_start: usize,
) {
    for column in columns {
        for (row, &value) in to.chunks_exact_mut(width).zip(&from[column * stride..]).skip(k_start) {
            row[column] = value;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::BLOCK;
    use std::arch::x86_64::*;

    /// Whole blocks: `columns` and `k` are multiples of [`BLOCK`].
    #[target_feature(enable = "avx")]
    pub(crate) fn transpose(
        from: &[f32],
        stride: usize,
        columns: usize,
        to: &mut [f32],
        width: usize,
        k: usize,
    ) {
        if columns == 0 || k == 0 {
            return;
        }
        assert!(columns <= width && from.len() >= (columns - 1) * stride + k && to.len() >= k * width);
        for column in (0..columns).step_by(BLOCK) {
            for row in (0..k).step_by(BLOCK) {
                // SAFETY: the assertion covers the last column, and the last row of the panel.
                unsafe {
                    let from = from.as_ptr().add(column * stride + row);
                    transpose_block(from, stride, to.as_mut_ptr().add(row * width + column), width);
                }
            }
        }
    }

    /// Transposes 8 x 8 floats in registers: pairs, quadruples, then halves change places.
    ///
    /// # Safety
    /// Eight floats in each of eight rows `stride` apart must be readable, and writable `width` apart.
    #[inline]
    #[target_feature(enable = "avx")]
    unsafe fn transpose_block(from: *const f32, stride: usize, to: *mut f32, width: usize) {
        // Rows r and r + 4 share a register, so the halves are in place when the quadruples are.
        let half = |row: usize, k: usize| -> __m256 {
            // SAFETY: the promise of the caller.
            let (low, high) = unsafe {
                (_mm_loadu_ps(from.add(row * stride + k)), _mm_loadu_ps(from.add((row + 4) * stride + k)))
            };
            _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
        };
        for k in (0..BLOCK).step_by(4) {
            let rows = [half(0, k), half(1, k), half(2, k), half(3, k)];
            let low = (_mm256_unpacklo_ps(rows[0], rows[1]), _mm256_unpacklo_ps(rows[2], rows[3]));
            let high = (_mm256_unpackhi_ps(rows[0], rows[1]), _mm256_unpackhi_ps(rows[2], rows[3]));
            let columns = [
                _mm256_shuffle_ps::<0b01_00_01_00>(low.0, low.1),
                _mm256_shuffle_ps::<0b11_10_11_10>(low.0, low.1),
                _mm256_shuffle_ps::<0b01_00_01_00>(high.0, high.1),
                _mm256_shuffle_ps::<0b11_10_11_10>(high.0, high.1),
            ];
            for (i, column) in columns.into_iter().enumerate() {
                // SAFETY: the promise of the caller.
                unsafe { _mm256_storeu_ps(to.add((k + i) * width), column) };
            }
        }
    }
}
