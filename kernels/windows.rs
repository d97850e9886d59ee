//! Buffers that are longer than a device can bind at once: the same launches on one window of rows after the other.
//!
//! A window begins at a multiple of [`ALIGNMENT`] words of every buffer it cuts, as bindings must, and is no longer than
//! [`GpuTraits::largest_binding`]. On a device that can bind everything whole there is one window, and nothing changes.

use crate::kernel::{ALIGNMENT, Dispatch, GpuTraits};
use std::ops::Range;

/// Cuts `rows` (images, rows of a matrix, elements) into ranges so that no buffer is longer than the device can bind.
/// `buffers` holds, for each buffer that has as many rows, its index and its words per row.
///
/// A row that is itself longer than the limit stays whole; binding it then fails with a message.
pub fn windows(rows: usize, buffers: &[(usize, usize)], gpu: &GpuTraits) -> Vec<Range<usize>> {
    let words = buffers.iter().map(|&(_, words)| words).max().unwrap_or(1).max(1);
    if rows * words <= gpu.largest_binding {
        return std::iter::once(0..rows).collect();
    }
    // The fewest rows after which every buffer is at a multiple of the alignment: a power of two.
    let granule = buffers
        .iter()
        .map(|&(_, words)| ALIGNMENT >> words.trailing_zeros().min(ALIGNMENT.ilog2()))
        .max()
        .unwrap_or(1);
    let length = (gpu.largest_binding / words / granule).max(1) * granule;
    (0..rows).step_by(length).map(|start| start..rows.min(start + length)).collect()
}

/// The launches that `of` makes for each of the [`windows`], with the windows of `buffers` noted in them.
pub fn in_windows(
    rows: usize,
    buffers: &[(usize, usize)],
    gpu: &GpuTraits,
    mut of: impl FnMut(Range<usize>) -> Vec<Dispatch>,
) -> Vec<Dispatch> {
    let ranges = windows(rows, buffers, gpu);
    if ranges.len() <= 1 {
        return of(0..rows);
    }
    let mut dispatches = Vec::new();
    for range in ranges {
        for mut dispatch in of(range.clone()) {
            for &(buffer, words) in buffers {
                dispatch.windows.push((buffer, range.start * words..range.end * words));
            }
            dispatches.push(dispatch);
        }
    }
    dispatches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_aligned_cover_all_rows_and_fit_the_binding() {
        let gpu = |largest_binding| GpuTraits {
            software: false,
            workgroup_memory: 32 << 10,
            concurrent_workgroups: 32,
            largest_binding,
        };
        let whole = windows(100, &[(0, 1000)], &gpu(100_000));
        assert_eq!((whole.len(), whole[0].clone()), (1, 0..100));
        // Rows of 24 words are aligned every 8 rows, those of 7 words every 64.
        let ranges = windows(100, &[(0, 24)], &gpu(500));
        assert_eq!(ranges[0], 0..16);
        assert_eq!((ranges.len(), ranges[6].clone()), (7, 96..100));
        assert_eq!(windows(100, &[(0, 24), (1, 7)], &gpu(2000))[0], 0..64);
        // A granule that does not fit is taken whole.
        assert_eq!(windows(3, &[(0, 1024)], &gpu(64)).len(), 3);
    }
}
