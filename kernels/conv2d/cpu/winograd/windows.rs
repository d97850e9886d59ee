//! From images to frequencies: V from x, and Z from dy.

use super::frequencies::Layout;
use super::transforms::{
    Axis, InputTransform, Load, OutputGradientTransform, TILE, WINDOW, load, prefetch, transform,
};
use super::{CHANNELS, Tile, Tiles};
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
        unsafe { load::<S, WHOLE>(s, self.window.0[i][j].wrapping_add(self.channel), self.length) }
    }
}

impl Images<'_> {
    /// Where the window of a tile begins, from a channel on; it may lie outside of the image.
    #[inline(always)]
    fn start(&self, tile: Tile, channel: usize) -> *const f32 {
        let pixel = (tile.image * self.height + tile.row) * self.width + tile.column;
        let before = self.padding * (self.width + 1);
        self.pixels
            .as_ptr()
            .wrapping_add(pixel.wrapping_sub(before).wrapping_mul(self.channels))
            .wrapping_add(channel)
    }

    /// The window of a tile, from a channel on.
    #[inline(always)]
    fn window<const N: usize>(&self, tile: Tile, channel: usize) -> Window<N> {
        let start = self.start(tile, channel);
        let (top, left) = (tile.row.wrapping_sub(self.padding), tile.column.wrapping_sub(self.padding));
        let row_length = self.width * self.channels;
        let mut window = Window([[ZEROS.as_ptr(); N]; N]);
        for (i, pixels) in window.0.iter_mut().enumerate() {
            if top.wrapping_add(i) < self.height {
                for (j, pixel) in pixels.iter_mut().enumerate() {
                    if left.wrapping_add(j) < self.width {
                        *pixel = start.wrapping_add(i * row_length + j * self.channels);
                    }
                }
            }
        }
        window
    }

    /// Brings the window of a tile near, from a channel on, but for the columns that the tile before had.
    #[inline(always)]
    fn prefetch<const N: usize>(&self, tile: Tile, channel: usize) {
        let start = self.start(tile, channel);
        for i in 0..N {
            for j in N - TILE..N {
                prefetch(start.wrapping_add((i * self.width + j) * self.channels));
            }
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn run<S: Simd, A: Axis<N, WINDOW> + Copy, const N: usize>(self, s: S, matrix: A) {
        let Self { images, tiles, channels, to, layout } = self;
        let &Images { pixels, height, width, channels: pixel, tiles: all, .. } = &images;
        assert!(tiles.end <= all.count && channels.end <= pixel && channels.len() <= ZEROS.len());
        assert!(all.batch * height * width * pixel == pixels.len());
        assert!(layout.holds(to, tiles.len(), channels.len()));
        let mut tile = all.at(tiles.start);
        for row in 0..tiles.len() {
            let (window, next) = (&images.window::<N>(tile, channels.start), all.next(tile));
            for channel in (0..channels.len()).step_by(LANES) {
                images.prefetch::<N>(next, channels.start + channel);
                let to = layout.vectors_mut(to, row, channel);
                let length = channels.len() - channel;
                if length >= LANES {
                    transform(s, matrix, &Channels::<N, true> { window, channel, length }, &to);
                } else {
                    transform(s, matrix, &Channels::<N, false> { window, channel, length }, &to);
                }
            }
            tile = next;
        }
    }
}
