//! Which elements an output reads, and copies of them with zeros around the image.
//!
//! Output (i, j) of an image reads a *window* of its source: `size[0]` rows of `size[1]` adjacent pixels, so a row of a
//! window is one contiguous run of floats. Neighbouring windows begin `step` pixels apart. Windows that reach over the
//! border would need a test per pixel; instead a *band* of outputs copies its part of the source, with zeros for what
//! lies outside, into memory of its thread that stays in L2. A copied float serves all output channels, so the copy
//! costs a few percent. Where no window reaches over the border the source is read in place.

use crate::threads::part;
use std::ops::Range;

/// Floats that a band copies, at most, unless that makes it too short.
const BAND_WORDS: usize = 32 * 1024;
/// Outputs of a band, at least: fewer would leave its last tile empty too often.
const BAND_OUTPUTS: usize = 96;
/// Bands of a batch, at least, if it has as many images.
const BANDS: usize = 16;

/// The geometry: the forward pass is one such problem, the backward pass of data one per phase of the stride.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// Images.
    pub(super) batch: usize,
    /// Rows and columns of a source image.
    pub(super) source: [usize; 2],
    /// Channels of the source.
    pub(super) channels: usize,
    /// Rows and columns of outputs per image.
    pub(super) outputs: [usize; 2],
    /// Pixels between neighbouring windows.
    pub(super) step: usize,
    /// Rows and columns of a window.
    pub(super) size: [usize; 2],
    /// Row and column of the source where the first window of an image begins; negative in the padding.
    pub(super) first: [isize; 2],
    /// Outputs of a row are computed in groups of this many: windows behind the last output are read, not used.
    pub(super) group: usize,
}

/// Some outputs: all of several images, or some rows of one.
#[derive(Clone, Debug)]
pub(super) struct Band {
    pub(super) images: Range<usize>,
    pub(super) rows: Range<usize>,
}

/// The windows of a band as they lie in memory. Distances are in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// The first window.
    pub(super) start: *const f32,
    /// From an image to the next.
    pub(super) image: usize,
    /// From a row of the source to the next.
    pub(super) row: usize,
}

impl Windows {
    /// Floats in a row of a window.
    pub(super) fn run(&self) -> usize {
        self.size[1] * self.channels
    }

    /// Floats in a window.
    pub(super) fn len(&self) -> usize {
        self.size[0] * self.run()
    }

    /// Groups of outputs in a row.
    pub(super) fn groups(&self) -> usize {
        self.outputs[1].div_ceil(self.group)
    }

    /// Rows of the source that so many rows of outputs read.
    fn rows_for(&self, outputs: usize) -> usize {
        (outputs - 1) * self.step + self.size[0]
    }

    /// Columns of the source that a row of outputs reads.
    fn columns(&self) -> usize {
        (self.groups() * self.group - 1) * self.step + self.size[1]
    }

    /// No window reaches over the border.
    pub(super) fn in_place(&self) -> bool {
        let [rows, columns] = [self.rows_for(self.outputs[0]), self.columns()];
        let inside = |first: isize, length: usize, size: usize| first >= 0 && first as usize + length <= size;
        self.len() == 0
            || inside(self.first[0], rows, self.source[0]) && inside(self.first[1], columns, self.source[1])
    }

    /// How many rows a band has if it is part of an image, or how many images.
    fn band(&self) -> (usize, usize) {
        let [height, width] = self.outputs;
        let row = (self.columns() * self.channels).max(1);
        let fitting = (BAND_WORDS / row).saturating_sub(self.size[0]) / self.step + 1;
        let rows = fitting.max(BAND_OUTPUTS.div_ceil(width));
        if rows < height {
            return (1, rows);
        }
        let fitting = BAND_WORDS / (row * self.rows_for(height)).max(1);
        let images = fitting.min(self.batch.div_ceil(BANDS)).max(BAND_OUTPUTS.div_ceil(height * width));
        (images.min(self.batch), height)
    }

    /// Number of bands.
    pub(super) fn bands(&self) -> usize {
        let (images, rows) = self.band();
        self.batch.div_ceil(images) * self.outputs[0].div_ceil(rows)
    }

    /// A band. Bands differ in length by a row or an image at most.
    pub(super) fn band_at(&self, index: usize) -> Band {
        let (images, rows) = self.band();
        let (across, along) = (self.batch.div_ceil(images), self.outputs[0].div_ceil(rows));
        Band {
            images: part(self.batch, across, index / along),
            rows: part(self.outputs[0], along, index % along),
        }
    }

    /// Outputs of the longest band, per channel.
    pub(super) fn band_outputs(&self) -> usize {
        let (images, rows) = self.band();
        images * rows * self.outputs[1]
    }

    /// Floats of the copy of the longest band; 0 if there are no copies.
    pub(super) fn copy_words(&self) -> usize {
        let (images, rows) = self.band();
        match self.in_place() {
            true => 0,
            false => images * self.rows_for(rows) * self.columns() * self.channels,
        }
    }

    /// The windows of a band, copied to `copy` if need be.
    pub(super) fn view(&self, source: &[f32], band: &Band, copy: &mut [f32]) -> View {
        let Self { source: [height, width], channels, step, first, .. } = *self;
        if self.in_place() {
            let (row, image) = (width * channels, height * width * channels);
            let start = band.images.start * image
                + (first[0].max(0) as usize + band.rows.start * step) * row
                + first[1].max(0) as usize * channels;
            return View { start: source.as_ptr().wrapping_add(start), image, row };
        }
        let (rows, columns) = (self.rows_for(band.rows.len()), self.columns());
        let row = columns * channels;
        // Columns of the copy that lie inside of the image, and where the first of them is.
        let from = first[1].max(0) as usize;
        let left = (-first[1]).max(0) as usize;
        let inside = left.min(columns)..(left + width.saturating_sub(from)).clamp(left.min(columns), columns);
        let inside = inside.start * channels..inside.end * channels;
        let mut lines = copy.chunks_exact_mut(row);
        for image in band.images.clone() {
            for r in 0..rows {
                let line = lines.next().expect("the copy holds the longest band");
                let at = first[0] + (band.rows.start * step + r) as isize;
                if at < 0 || at >= height as isize || inside.is_empty() {
                    line.fill(0.0);
                    continue;
                }
                let start = ((image * height + at as usize) * width + from) * channels;
                line[..inside.start].fill(0.0);
                line[inside.clone()].copy_from_slice(&source[start..start + inside.len()]);
                line[inside.end..].fill(0.0);
            }
        }
        View { start: copy.as_ptr(), image: rows * row, row }
    }
}
