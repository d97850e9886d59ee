//! Smaller images: the mean over squares of pixels.

use crate::{DataSet, Error, Images};
use std::sync::Arc;

impl Images {
    /// Every square of `factor` x `factor` pixels becomes one, its mean channel by channel, rounded to the nearest byte,
    /// halves up: `[len, H, W, C]` to `[len, H / factor, W / factor, C]`. A factor of 1 changes nothing.
    ///
    /// # Errors
    /// [`Error::Downsample`] if the factor is 0 or does not divide height and width.
    pub fn downsampled(mut self, factor: usize) -> Result<Images, Error> {
        let (height, width, channels) = (self.height, self.width, self.channels);
        if factor == 0 || !height.is_multiple_of(factor) || !width.is_multiple_of(factor) {
            return Err(Error::Downsample { name: self.name, factor, height, width });
        }
        if factor == 1 {
            return Ok(self);
        }
        let count = (factor * factor) as u64;
        let (rows, columns) = (height / factor, width / factor);
        let (image_len, pixels) = (height * width * channels, Arc::make_mut(&mut self.pixels));
        // In place: a mean lies before every pixel that is still to be read.
        let mut written = 0;
        for image in (0..pixels.len()).step_by(image_len.max(1)) {
            for (y, x, c) in
                (0..rows).flat_map(|y| (0..columns).flat_map(move |x| (0..channels).map(move |c| (y, x, c))))
            {
                let mut sum = 0;
                for row in 0..factor {
                    let start = image + ((y * factor + row) * width + x * factor) * channels + c;
                    sum += (0..factor).map(|step| u64::from(pixels[start + step * channels])).sum::<u64>();
                }
                // A mean of bytes, rounded, is a byte.
                pixels[written] = ((sum + count / 2) / count) as u8;
                written += 1;
            }
        }
        pixels.truncate(written);
        pixels.shrink_to_fit();
        Ok(Images { height: rows, width: columns, ..self })
    }
}

impl DataSet {
    /// Both halves made smaller, see [`Images::downsampled`]. The statistics stay those of the full images: the mean is the
    /// same, the deviation of averages a little smaller.
    ///
    /// # Errors
    /// [`Error::Downsample`].
    pub fn downsampled(self, factor: usize) -> Result<DataSet, Error> {
        Ok(DataSet { train: self.train.downsampled(factor)?, test: self.test.downsampled(factor)?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(height: usize, width: usize, channels: usize, pixels: &[u8]) -> Images {
        let len = pixels.len() / (height * width * channels);
        Images {
            name: "test".into(),
            height,
            width,
            channels,
            classes: 2,
            pixels: Arc::new(pixels.to_vec()),
            labels: vec![1; len],
        }
    }

    #[test]
    fn squares_are_averaged_channel_by_channel_and_rounded_to_the_nearest() {
        // Two images of 2x4 pixels in two channels; the second channel is the first plus 100.
        let first = [0u8, 1, 10, 20, 2, 3, 30, 41, 255, 255, 0, 1, 255, 255, 0, 0];
        let pixels: Vec<u8> = first.iter().flat_map(|&p| [p, p.saturating_add(100)]).collect();
        let small = images(2, 4, 2, &pixels).downsampled(2).unwrap();
        assert_eq!((small.height, small.width, small.channels, small.len()), (1, 2, 2, 2));
        // 6/4 = 1.5 -> 2; 101/4 = 25.25 -> 25; 1020/4; 1/4 -> 0.
        assert_eq!(*small.pixels, [2, 102, 25, 125, 255, 255, 0, 100]);
    }

    #[test]
    fn a_definition_in_f64_agrees_on_every_factor() {
        let pixels: Vec<u8> =
            (0..8 * 4 * 3).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for factor in [1, 2, 4] {
            let small = images(8, 4, 3, &pixels).downsampled(factor).unwrap();
            for (index, &pixel) in small.pixels.iter().enumerate() {
                let (c, x, y) = (index % 3, index / 3 % (4 / factor), index / 3 / (4 / factor));
                let square = (0..factor * factor).map(|i| {
                    let (row, column) = (y * factor + i / factor, x * factor + i % factor);
                    f64::from(pixels[(row * 4 + column) * 3 + c])
                });
                let mean = square.sum::<f64>() / (factor * factor) as f64;
                assert_eq!(f64::from(pixel), (mean + 0.5).floor(), "factor {factor}, {index}");
            }
        }
    }

    #[test]
    fn a_factor_that_does_not_divide_is_refused() {
        for factor in [0, 3, 4] {
            let error = images(4, 2, 1, &[0; 8]).downsampled(factor).unwrap_err().to_string();
            assert!(error.contains("4x2"), "{error}");
        }
    }
}
