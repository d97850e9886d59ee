//! How the CPU cuts the rows of an image batch: narrow rows are folded, chunks of rows are tasks.
//!
//! `[rows, C]` is `[rows / n, n C]` as well: n rows side by side fill whole vectors, and enough of them that their sums
//! do not wait for each other. A channel is then n columns, which are merged like chunks. Fewer than n rows may remain.

use crate::Cpu;
use crate::reduce::columns::{ColumnWork, Columns, Output, Rows};
use crate::simd::LANES;

/// Up to this many rows the statistics of a block of channels are one task, which normalises as well.
const WHOLE_ROWS: usize = 256;
/// Rows of fewer channels than this are folded, until they are whole vectors and at least [`LEAST`] columns.
const NARROW: usize = 8 * LANES;
const LEAST: usize = 4 * LANES;
/// Most rows that are folded: chunks are multiples of it.
const MOST_FOLDED: usize = 32;

/// A `[rows, C]` array cut for the CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    channels: usize,
    /// Rows side by side.
    fold: usize,
    /// The folded rows.
    folded: Columns,
    /// The rows that remain, as they are.
    rest: Columns,
}

impl Cut {
    pub(super) fn new(rows: usize, channels: usize) -> Self {
        let mut fold = 1;
        if channels < NARROW && rows > WHOLE_ROWS {
            while fold < MOST_FOLDED && (fold * channels < LEAST || !(fold * channels).is_multiple_of(LANES))
            {
                fold *= 2;
            }
        }
        let folded = if rows <= WHOLE_ROWS {
            Columns::whole_rows(rows, channels)
        } else {
            Columns::in_chunks(rows / fold, fold * channels)
        };
        Self { channels, fold, folded, rest: Columns::whole_rows(rows % fold, channels) }
    }
    /// All rows, if one task per block of channels takes them.
    pub(super) fn whole(&self) -> Option<&Columns> {
        (self.folded.rows <= WHOLE_ROWS && self.fold == 1).then_some(&self.folded)
    }
    /// Columns of a folded row.
    pub(super) fn width(&self) -> usize {
        self.folded.columns
    }
    /// Words of the partial results: two for each chunk and column, and two for each channel of the rest.
    pub(super) fn partial_words(&self) -> usize {
        2 * (self.folded.chunks * self.width() + self.channels)
    }
    /// `[rows, C]` as folded rows and rest.
    pub(super) fn rows<'a>(&self, data: &'a [f32]) -> [Rows<'a>; 2] {
        let (folded, rest) = data.split_at(self.folded.rows * self.width());
        [Rows::new(folded, self.width()), Rows::new(rest, self.channels)]
    }
    /// The same for an array that is written.
    pub(super) fn output<'a>(&self, data: &'a mut [f32]) -> [Output<'a>; 2] {
        let (folded, rest) = data.split_at_mut(self.folded.rows * self.width());
        [Output::new(folded, self.width()), Output::new(rest, self.channels)]
    }
    /// The partial results of folded rows and rest.
    pub(super) fn partials<'a>(&self, data: &'a mut [f32]) -> [Output<'a>; 2] {
        let (folded, rest) = data.split_at_mut(2 * self.folded.chunks * self.width());
        [Output::new(folded, self.width()), Output::new(rest, self.channels)]
    }
    /// Runs the work of the folded rows, and that of the rest.
    pub(super) fn run<W: ColumnWork>(&self, cpu: &Cpu, [folded, rest]: &[W; 2]) {
        self.folded.run(cpu, folded);
        if self.rest.rows > 0 {
            self.rest.run(cpu, rest);
        }
    }
    /// Parameters of each channel, repeated over the columns of a folded row: N arrays as long as it is.
    pub(super) fn parameters<'a, const N: usize>(
        &self,
        scratch: &'a mut [f32],
        of: impl Fn(usize) -> [f32; N],
    ) -> [&'a [f32]; N] {
        let width = self.width();
        for channel in 0..self.channels {
            for (parameter, value) in of(channel).into_iter().enumerate() {
                for copy in 0..self.fold {
                    scratch[parameter * width + copy * self.channels + channel] = value;
                }
            }
        }
        std::array::from_fn(|parameter| &scratch[parameter * width..(parameter + 1) * width])
    }
    /// The partial results, each `(rows, first [C], second [C])`, in a fixed order.
    #[inline(always)]
    pub(super) fn parts<'a>(
        &self,
        partials: &'a [f32],
    ) -> impl Iterator<Item = (usize, &'a [f32], &'a [f32])> {
        let Self { channels, fold, folded, rest } = *self;
        let width = folded.columns;
        let (wide, narrow) = partials.split_at(2 * folded.chunks * width);
        let of_chunks = wide.chunks_exact(2 * width).enumerate().flat_map(move |(chunk, partial)| {
            let rows = folded.chunk_rows.min(folded.rows - chunk * folded.chunk_rows);
            let (first, second) = partial.split_at(width);
            let copies = first.chunks_exact(channels).zip(second.chunks_exact(channels)).take(fold);
            copies.map(move |(first, second)| (rows, first, second))
        });
        let (first, second) = narrow.split_at(channels);
        of_chunks.chain((rest.rows > 0).then_some((rest.rows, first, second)))
    }
}
