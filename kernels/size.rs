//! Sizes of buffers, which saturate. An absurd shape has `usize::MAX` words and not what is left of a product that wrapped:
//! no buffer is that long, so the check before a run refuses it.

/// Words of an array of this shape.
pub(crate) fn words<const N: usize>(shape: [usize; N]) -> usize {
    shape.into_iter().fold(1, usize::saturating_mul)
}

/// Positions of a window of `kernel` elements in `length` elements with padding on both sides:
/// `(length + 2 padding - kernel) / stride + 1`, rounded down. A window that has none, for it is larger or its stride is 0,
/// is as absurd as one that has too many.
pub(crate) fn window_positions(length: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    let padded = length.saturating_add(padding.saturating_mul(2));
    let last = padded.checked_sub(kernel).and_then(|room| room.checked_div(stride));
    last.map_or(usize::MAX, |last| last.saturating_add(1))
}
