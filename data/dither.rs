//! One-bit black and white by error diffusion, as the released Hare & Tortoise code stores MNIST (`fidelity = "code"`).
//!
//! That code saves each digit with Pillow's mode `1`, which dithers: Floyd and Steinberg, *An Adaptive Algorithm for
//! Spatial Greyscale*, 1976. Pixels are visited row by row, left to right. A pixel plus the error diffused to it is
//! clipped to 0..=255 and becomes 255 if above 128, else 0. What that changes is passed on in sixteenths: 7 to the right,
//! 3, 5 and 1 to the pixels below left, below and below right; what would leave the image is dropped. As in Pillow,
//! errors are kept as integers times 16 and divided, towards zero, only where they are used.

use crate::{DataSet, Error, Images};
use std::sync::Arc;

/// Dithers one grey image in place to bytes 0 and 255. `pixels` is `[H, W]`, of any height; a width of 0 leaves it as is.
pub fn floyd_steinberg(pixels: &mut [u8], width: usize) {
    if width == 0 {
        return;
    }
    // Sixteenths of error that the row above passes down to each pixel.
    let mut from_above = vec![0i32; width];
    for row in pixels.chunks_mut(width) {
        let mut below = vec![0i32; width];
        let mut from_left = 0;
        for (x, pixel) in row.iter_mut().enumerate() {
            let wanted = (i32::from(*pixel) + (from_left + from_above[x]) / 16).clamp(0, 255);
            *pixel = if wanted > 128 { 255 } else { 0 };
            let error = wanted - i32::from(*pixel);
            from_left = 7 * error;
            if x > 0 {
                below[x - 1] += 3 * error;
            }
            below[x] += 5 * error;
            if x + 1 < width {
                below[x + 1] += error;
            }
        }
        from_above = below;
    }
}

impl Images {
    /// These images dithered to black and white, where they lie: every pixel 0 or 255.
    ///
    /// # Errors
    /// [`Error::NotGrey`] if the images have more than one channel.
    pub fn dithered(mut self) -> Result<Images, Error> {
        if self.channels != 1 {
            return Err(Error::NotGrey { name: self.name, channels: self.channels });
        }
        for image in Arc::make_mut(&mut self.pixels).chunks_mut((self.height * self.width).max(1)) {
            floyd_steinberg(image, self.width);
        }
        Ok(self)
    }
}

impl DataSet {
    /// Both halves dithered to black and white; mean and standard deviation stay as they are.
    ///
    /// # Errors
    /// [`Error::NotGrey`] if the images have more than one channel.
    pub fn dithered(self) -> Result<DataSet, Error> {
        Ok(DataSet { train: self.train.dithered()?, test: self.test.dithered()?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images with what Pillow makes of them, written by `fixtures/dither.py`: height, width (one byte each), the grey
    /// bytes, the black and white bytes.
    const FIXTURE: &[u8] = include_bytes!("fixtures/dither.bin");

    #[test]
    fn equals_pillow_on_every_pixel() {
        let mut rest = FIXTURE;
        let mut images = 0;
        while let [height, width, tail @ ..] = rest {
            let (grey, tail) = tail.split_at(usize::from(*height) * usize::from(*width));
            let (expected, tail) = tail.split_at(grey.len());
            let mut pixels = grey.to_vec();
            floyd_steinberg(&mut pixels, usize::from(*width));
            assert_eq!(pixels, expected, "{height} x {width}");
            rest = tail;
            images += 1;
        }
        assert_eq!(images, 18);
    }

    #[test]
    fn images_do_not_leak_errors_into_each_other() {
        let grey: Vec<u8> = (0..28 * 28).map(|i| (i % 251) as u8).collect();
        let images = Images {
            name: "two".into(),
            height: 28,
            width: 28,
            channels: 1,
            classes: 2,
            pixels: Arc::new(grey.repeat(2)),
            labels: vec![0, 1],
        };
        let dithered = images.clone().dithered().unwrap();
        assert_eq!(dithered.image(0), dithered.image(1));
        assert!(dithered.pixels.iter().all(|&pixel| pixel == 0 || pixel == 255));
        assert_eq!(dithered.labels, images.labels);
        let colour = Images { width: 7, channels: 4, ..images };
        assert!(matches!(colour.dithered(), Err(Error::NotGrey { channels: 4, .. })));
    }
}
