//! What the built-in sets share: images drawn from a seed, side by side, and the statistics of their pixels.

use crate::random::{Purpose, Random};
use crate::{Images, parallel};
use std::sync::Arc;

/// Images that a thread draws at a time.
const BLOCK: usize = 32;

/// Draws `count` images of `side` rows and columns on up to `threads` threads, the calling one included.
///
/// `image` draws one into `[side, side, channels]` bytes and returns its class, from a random stream of its own: image i
/// is a function of (seed, purpose, i) alone. `canvas` makes what a thread draws on.
pub(crate) fn draw<C>(
    name: &str,
    [side, channels, classes]: [usize; 3],
    count: usize,
    (seed, purpose): (u64, Purpose),
    threads: usize,
    canvas: impl Fn() -> C + Sync,
    image: impl Fn(&mut Random, &mut C, &mut [u8]) -> u32 + Sync,
) -> Images {
    let image_len = side * side * channels;
    let mut pixels = vec![0; count * image_len];
    let mut labels = vec![0; count];
    let blocks = pixels.chunks_mut(BLOCK * image_len).zip(labels.chunks_mut(BLOCK)).enumerate();
    parallel::for_each(blocks, threads.min(count.div_ceil(BLOCK)), |(block, (pixels, labels))| {
        let mut canvas = canvas();
        for (offset, (bytes, label)) in pixels.chunks_mut(image_len).zip(labels).enumerate() {
            let mut random = Random::new(seed, purpose, (block * BLOCK + offset) as u64);
            *label = image(&mut random, &mut canvas, bytes);
        }
    });
    Images {
        name: name.to_owned(),
        height: side,
        width: side,
        channels,
        classes,
        pixels: Arc::new(pixels),
        labels,
    }
}

/// Mean and standard deviation of each channel of `[.., channels]` bytes scaled to \[0, 1\], from exact sums.
pub(crate) fn mean_std(pixels: &[u8], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let mut sums = vec![[0u64; 2]; channels];
    for pixel in pixels.chunks(channels) {
        for (sum, &byte) in sums.iter_mut().zip(pixel) {
            sum[0] += u64::from(byte);
            sum[1] += u64::from(byte).pow(2);
        }
    }
    let count = (pixels.len() / channels) as f64;
    let statistics = sums.iter().map(|[sum, squares]| {
        let mean = *sum as f64 / count;
        let std = (*squares as f64 / count - mean * mean).sqrt();
        ((mean / 255.0) as f32, (std / 255.0) as f32)
    });
    statistics.unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_bytes_scaled_to_1_in_each_channel() {
        assert_eq!(mean_std(&[0, 255, 255, 0], 1), (vec![0.5], vec![0.5]));
        let (mean, std) = mean_std(&[51, 0, 51, 255, 51, 0, 51, 255], 2);
        assert!((mean[0] - 0.2).abs() < 1e-6 && std[0] == 0.0, "{mean:?} {std:?}");
        assert_eq!((mean[1], std[1]), (0.5, 0.5));
    }
}
