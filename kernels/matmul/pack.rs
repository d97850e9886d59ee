//! Copies of A and B in the order in which the micro-kernel reads them.

use crate::simd::Isa;
use std::ops::Range;

/// Some rows of op(A)^T or op(B), which both have k rows, where they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// Starts at column 0 of the first of these rows.
    pub(super) matrix: &'a [f32],
    /// Distance of two rows, or of two columns if `transposed`.
    pub(super) stride: usize,
    /// The elements of a column are adjacent, not those of a row.
    pub(super) transposed: bool,
}

/// Some columns of a matrix, copied as `[k][width]` with zeros behind the last column.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) columns: Range<usize>,
    pub(super) width: usize,
}

/// Fills `to` with adjacent panels of k rows, one after the other.
pub(super) fn pack(
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
            let to = &mut to[start + index * width..][..width];
            copy(&row[columns.clone()], to);
            start += k * width;
        }
    }
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

/// Fills `[k][width]` with columns that lie `stride` apart, each with its k elements adjacent.
fn transpose(isa: Isa, from: &[f32], stride: usize, columns: usize, to: &mut [f32], width: usize) {
    let k = to.len() / width;
    let (whole_columns, whole_k) = (columns / BLOCK * BLOCK, k / BLOCK * BLOCK);
    for column in (0..whole_columns).step_by(BLOCK) {
        let (from, to) = (&from[column * stride..], &mut to[column..]);
        // The last row of the last block, here and there.
        assert!(
            from.len() >= (BLOCK - 1) * stride + k
                && to.len() + column >= k * width
                && width >= column + BLOCK
        );
        match isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: these sets include AVX; the assertion covers all blocks of both sides.
            Isa::Avx512 | Isa::Avx2 => unsafe {
                for row in (0..whole_k).step_by(BLOCK) {
                    x86::transpose_block(
                        from.as_ptr().add(row),
                        stride,
                        to.as_mut_ptr().add(row * width),
                        width,
                    );
                }
            },
            _ => transpose_plain(from, stride, 0..whole_k, BLOCK, to, width),
        }
        transpose_plain(from, stride, whole_k..k, BLOCK, to, width);
    }
    if whole_columns < columns {
        let (from, to) = (&from[whole_columns * stride..], &mut to[whole_columns..]);
        transpose_plain(from, stride, 0..k, columns - whole_columns, to, width);
    }
    if columns < width {
        to.chunks_exact_mut(width).for_each(|row| row[columns..].fill(0.0));
    }
}

fn transpose_plain(
    from: &[f32],
    stride: usize,
    k: Range<usize>,
    columns: usize,
    to: &mut [f32],
    width: usize,
) {
    for column in 0..columns {
        for (row, &value) in k.clone().zip(&from[column * stride..][k.clone()]) {
            to[row * width + column] = value;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::BLOCK;
    use std::arch::x86_64::*;

    /// Transposes 8 x 8 floats in registers: pairs, quadruples, then halves change places.
    ///
    /// # Safety
    /// Eight floats in each of eight rows `stride` apart must be readable, and writable `width` apart.
    #[target_feature(enable = "avx")]
    pub(super) unsafe fn transpose_block(from: *const f32, stride: usize, to: *mut f32, width: usize) {
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
