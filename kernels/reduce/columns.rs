//! How kernels that reduce over the rows of a `[rows, columns]` array cut it into pieces, on both devices.
//!
//! The cut depends on the shape only, never on the device or the number of threads, so sums are reproducible.

use crate::Cpu;
use crate::kernel::{Dispatch, GpuTraits};
use crate::simd::{LANES, Simd, Vectorised};
use crate::template::expand;
use crate::threads::Parts;
use crate::windows::windows;
use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;

/// Up to this many rows one workgroup, or one CPU task of a column sum, reduces a block of columns alone, in one launch.
const WHOLE_ROWS: usize = 1024;
/// Fewest rows of a chunk, where there are several.
const CHUNK_ROWS: usize = 256;
/// Most chunks: bounds the scratch memory and the work of merging.
const MOST_CHUNKS: usize = 1024;
/// Columns of a CPU task: eight vectors, so that a visit to a row reads half a kilobyte in one go. Rows whose length is a
/// power of two fall into few sets of L1, and narrow tiles of them wait for L2 at every row.
const TILE_COLUMNS: usize = 8 * LANES;
/// Arrays smaller than this are not worth waking other threads for.
const ALONE: usize = 32_768;
/// Threads of a workgroup.
const WORKGROUP: u32 = 256;
/// Most workgroups in one dimension of a grid.
const GRID: u32 = 65_535;

/// A `[rows, columns]` array cut into chunks of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) chunk_rows: usize,
    /// At least 1, even without rows.
    pub(crate) chunks: usize,
}

impl Columns {
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        if rows <= WHOLE_ROWS { Self::whole_rows(rows, columns) } else { Self::in_chunks(rows, columns) }
    }
    /// All rows in one chunk.
    pub(crate) fn whole_rows(rows: usize, columns: usize) -> Self {
        Self { rows, columns, chunk_rows: rows.max(1), chunks: 1 }
    }
    /// Chunks of at least [`CHUNK_ROWS`] rows.
    pub(crate) fn in_chunks(rows: usize, columns: usize) -> Self {
        let chunk_rows = rows.div_ceil(MOST_CHUNKS).next_multiple_of(32).max(CHUNK_ROWS);
        Self { rows, columns, chunk_rows, chunks: rows.div_ceil(chunk_rows).max(1) }
    }
    /// A chunk for each of `groups` groups of equally many rows.
    pub(crate) fn in_groups(rows: usize, columns: usize, groups: usize) -> Self {
        Self { rows, columns, chunk_rows: rows / groups, chunks: groups }
    }

    /// Whether one chunk holds all rows.
    pub(crate) fn whole(&self) -> bool {
        self.chunks == 1
    }
}

/// On the GPU: 256 threads, WIDTH neighbours along the columns and 256 / WIDTH along the rows.
impl Columns {
    /// Floats that a thread takes at once: four neighbouring columns, where rows are whole vectors.
    pub(crate) fn vector(&self) -> usize {
        if self.columns.is_multiple_of(4) { 4 } else { 1 }
    }
    /// Vectors in a row.
    pub(crate) fn units(&self) -> u32 {
        (self.columns / self.vector()) as u32
    }
    /// Threads along the columns: 128 (vectors) or 64 bytes of a row, a power of two.
    pub(crate) fn width(&self) -> u32 {
        let most = if self.vector() == 4 { 8 } else { 16 };
        self.units().next_power_of_two().min(most)
    }
    /// The shader, [expanded](expand), behind `columns.wgsl` with its element type: four columns or one.
    pub(crate) fn source(&self, parts: &[&str], values: &[(&str, &dyn Display)]) -> Cow<'static, str> {
        let element = if self.vector() == 4 { "vec4<f32>" } else { "f32" };
        let common: [(&str, &dyn Display); 2] = [("ELEMENT", &element), ("GRID", &GRID)];
        let source = [include_str!("columns.wgsl"), &parts.concat()].concat();
        Cow::Owned(expand(&source, &[&common, values].concat()))
    }
    /// Workgroups: blocks of columns in x (and z, when there are very many), chunks of rows in y.
    pub(crate) fn grid(&self) -> [u32; 3] {
        let blocks = self.units().div_ceil(self.width());
        [blocks.min(GRID), self.chunks as u32, blocks.div_ceil(GRID)]
    }
    /// The same for a pass over `rows` without reduction: enough workgroups for four rows per thread; shaders stride over
    /// the rest.
    pub(crate) fn pointwise_grid(&self, rows: usize) -> [u32; 3] {
        let [x, _, z] = self.grid();
        let height = 4 * WORKGROUP / self.width();
        [x, (rows as u32).div_ceil(height).clamp(1, GRID), z]
    }
    /// The launch that `of` makes for each window of the `buffers`, all `[rows, columns]`; windows hold whole chunks. It is
    /// given the rows and the chunks of the window.
    pub(crate) fn in_windows(
        &self,
        buffers: &[usize],
        gpu: &GpuTraits,
        of: impl Fn(Range<usize>, Range<usize>) -> Dispatch,
    ) -> Vec<Dispatch> {
        let ranges = windows(self.chunks, &[(0, self.chunk_rows * self.columns)], gpu);
        let several = ranges.len() > 1;
        let launch = |chunks: Range<usize>| {
            let rows = chunks.start * self.chunk_rows..self.rows.min(chunks.end * self.chunk_rows);
            let words = rows.start * self.columns..rows.end * self.columns;
            let mut dispatch = of(rows, chunks);
            if several {
                dispatch.windows.extend(buffers.iter().map(|&buffer| (buffer, words.clone())));
            }
            dispatch
        };
        ranges.into_iter().map(launch).collect()
    }
}

/// What one CPU task works on: rows of one chunk, up to eight vectors of columns.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    pub(crate) chunk: usize,
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
}

/// Work on a block of columns that stay in vector lanes while the rows go by.
pub(crate) trait ColumnWork: Sync {
    /// `columns` are `N` whole vectors, or, if `N` is 1, less than one vector.
    fn block<S: Simd, const N: usize>(&self, s: S, chunk: usize, rows: Range<usize>, columns: Range<usize>);
}

impl Columns {
    /// Runs the work on every tile, on several threads where it is worth it.
    pub(crate) fn run<W: ColumnWork>(&self, cpu: &Cpu, work: &W) {
        let blocks = self.columns.div_ceil(TILE_COLUMNS);
        let task = |index: usize| {
            let (chunk, block) = (index / blocks, index % blocks);
            let first = chunk * self.chunk_rows;
            let columns = block * TILE_COLUMNS..((block + 1) * TILE_COLUMNS).min(self.columns);
            let tile = Tile { chunk, rows: first..(first + self.chunk_rows).min(self.rows), columns };
            cpu.isa.run(Blocks { work, tile });
        };
        let tasks = self.chunks * blocks;
        if self.rows * self.columns < ALONE {
            (0..tasks).for_each(task);
        } else {
            cpu.threads.run(tasks, &task);
        }
    }
}

struct Blocks<'a, W> {
    work: &'a W,
    tile: Tile,
}

impl<W: ColumnWork> Vectorised for Blocks<'_, W> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Tile { chunk, rows, columns } = self.tile;
        let mut at = columns.start;
        macro_rules! blocks {
            ($($vectors:literal)*) => {$(
                while at + $vectors * LANES <= columns.end {
                    let block = at..at + $vectors * LANES;
                    self.work.block::<S, $vectors>(s, chunk, rows.clone(), block);
                    at += $vectors * LANES;
                }
            )*};
        }
        blocks!(8 4 2 1);
        if at < columns.end {
            self.work.block::<S, 1>(s, chunk, rows, at..columns.end);
        }
    }
}

/// A `[rows, columns]` array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    data: &'a [f32],
    columns: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(data: &'a [f32], columns: usize) -> Self {
        Self { data, columns }
    }
    #[inline(always)]
    pub(crate) fn load<S: Simd, const N: usize>(self, s: S, row: usize, block: &Range<usize>) -> [S::V; N] {
        let at = row * self.columns;
        load::<S, N>(s, &self.data[at + block.start..at + block.end])
    }
}

/// A `[rows, columns]` array of which each task writes the rows and columns of its tile only.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    parts: Parts<'a, f32>,
    columns: usize,
}

impl<'a> Output<'a> {
    pub(crate) fn new(data: &'a mut [f32], columns: usize) -> Self {
        Self { parts: Parts::new(data), columns }
    }
    #[inline(always)]
    pub(crate) fn store<S: Simd, const N: usize>(
        &self,
        s: S,
        row: usize,
        block: &Range<usize>,
        v: [S::V; N],
    ) {
        let at = row * self.columns;
        // SAFETY: tiles do not overlap and each is one task's own.
        store::<S, N>(s, unsafe { self.parts.part(at + block.start..at + block.end) }, v);
    }
    /// Reads back what this task alone may write.
    #[inline(always)]
    pub(crate) fn load<S: Simd, const N: usize>(&self, s: S, row: usize, block: &Range<usize>) -> [S::V; N] {
        let at = row * self.columns;
        // SAFETY: as above.
        load::<S, N>(s, unsafe { self.parts.part(at + block.start..at + block.end) })
    }
}

/// `N` vectors, or less than one if `N` is 1.
#[inline(always)]
pub(crate) fn load<S: Simd, const N: usize>(s: S, from: &[f32]) -> [S::V; N] {
    let (whole, tail) = from.as_chunks::<LANES>();
    let mut vectors = [s.splat(0.0); N];
    // As an array of known length: the vectors stay in registers.
    if let Ok(whole) = <&[_; N]>::try_from(whole) {
        for i in 0..N {
            vectors[i] = s.load(&whole[i]);
        }
    } else {
        vectors[0] = s.load_partial(tail);
    }
    vectors
}

/// The reverse of [`load`].
#[inline(always)]
pub(crate) fn store<S: Simd, const N: usize>(s: S, to: &mut [f32], vectors: [S::V; N]) {
    let (whole, tail) = to.as_chunks_mut::<LANES>();
    if let Ok(whole) = <&mut [_; N]>::try_from(whole) {
        for i in 0..N {
            s.store(&mut whole[i], vectors[i]);
        }
    } else {
        s.store_partial(tail, vectors[0]);
    }
}
