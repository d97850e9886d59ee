//! From images to frequencies: V from x, and Z from dy.

use super::frequencies::{Layout, Vectors};
use super::transforms::{Axis, InputTransform, Load, OutputGradientTransform, WINDOW, load, transform};
use super::{CHANNELS, Tiles};
use crate::simd::{LANES, Simd, Vectorised};
use std::ops::Range;

/// What lies in the padding.
static ZEROS: [f32; CHANNELS] = [0.0; CHANNELS];

/// Images `[N, H, W, C]` of which every tile reads a square window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Images<'a> {
    pub(super) pixels: &'a [f32],
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    /// Rows and columns by which a window begins before its tile.
    pub(super) padding: usize,
    pub(super) tiles: Tiles,
}

/// Fills the matrices `[tiles, channels]` of all frequencies, whose layout is `layout`, for some tiles and channels. The
/// channels are filled up with zeros to whole vectors.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) images: Images<'a>,
    pub(super) tiles: Range<usize>,
    pub(super) channels: Range<usize>,
    pub(super) to: &'a mut [f32],
    pub(super) layout: Layout,
}

/// `V = B^T x B`, from windows of 6 x 6.
#[derive(Debug)]
pub(super) struct Inputs<'a>(pub(super) Block<'a>);

/// `Z = A dy A^T`, from the tiles themselves.
#[derive(Debug)]
pub(super) struct OutputGradients<'a>(pub(super) Block<'a>);

impl Vectorised for Inputs<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.0.run(s, InputTransform);
    }
}

impl Vectorised for OutputGradients<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.0.run(s, OutputGradientTransform);
    }
}

/// Where the pixels of a tile's window lie.
struct Window<const N: usize>([[*const f32; N]; N]);

/// The window from a channel on.
struct Channels<'a, const N: usize, const WHOLE: bool> {
    window: &'a Window<N>,
    channel: usize,
    length: usize,
}

impl<const N: usize, const WHOLE: bool> Load for Channels<'_, N, WHOLE> {
    #[inline(always)]
    fn load<S: Simd>(&self, s: S, i: usize, j: usize) -> S::V {
        // SAFETY: a pixel of the image or of the padding has these channels: `Block::run` makes no others.
        unsafe { load::<S, WHOLE>(s, self.window.0[i][j].add(self.channel), self.length) }
    }
}

impl Images<'_> {
    /// The window of a tile, from a channel on.
    #[inline(always)]
    fn window<const N: usize>(&self, tile: usize, channel: usize) -> Window<N> {
        let (image, row, column) = self.tiles.at(tile);
        let (top, left) = (row.wrapping_sub(self.padding), column.wrapping_sub(self.padding));
        let image = self.pixels[image * self.height * self.width * self.channels + channel..].as_ptr();
        let mut window = Window([[ZEROS.as_ptr(); N]; N]);
        for (i, pixels) in window.0.iter_mut().enumerate() {
            let row = top.wrapping_add(i);
            for (j, pixel) in pixels.iter_mut().enumerate() {
                let column = left.wrapping_add(j);
                if row < self.height && column < self.width {
                    *pixel = image.wrapping_add((row * self.width + column) * self.channels);
                }
            }
        }
        window
    }
}

impl Block<'_> {
    #[inline(always)]
    fn run<S: Simd, A: Axis<N, WINDOW> + Copy, const N: usize>(self, s: S, matrix: A) {
        let Self { images, tiles, channels, to, layout } = self;
        assert!(tiles.end <= images.tiles.count && channels.end <= images.channels);
        assert!(channels.len() <= CHANNELS.min(layout.row));
        assert!(tiles.len() * layout.row <= layout.plane && layout.words() <= to.len());
        for (index, tile) in tiles.enumerate() {
            let window = &images.window::<N>(tile, channels.start);
            for channel in (0..channels.len()).step_by(LANES) {
                let to = to[index * layout.row + channel..].as_mut_ptr();
                // SAFETY: the first matrix has this row, and whole vectors of columns (asserted above).
                let to = unsafe { Vectors::new(to, layout) };
                let length = channels.len() - channel;
                if length >= LANES {
                    transform(s, matrix, &Channels::<N, true> { window, channel, length }, &to);
                } else {
                    transform(s, matrix, &Channels::<N, false> { window, channel, length }, &to);
                }
            }
        }
    }
}
