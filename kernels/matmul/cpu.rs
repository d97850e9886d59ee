//! Matrix multiplication on the CPU: the blocking around the micro-kernel.
//!
//! ```text
//! C is cut into tiles of at most rows x columns (12 x 32 on AVX-512): all sums of a tile stay in registers.
//! for each block of k, one if there are at most K_BLOCK
//!   pack the block of A and B where they are packed
//!   for each tile row of the unit                  its rows of A stay in L1
//!     for each panel of the unit's slab            the slab, some panels of B, stays in L2 and streams by
//!       micro-kernel
//! ```
//!
//! A *panel* is `columns` columns of B. It is packed, as `[k][columns]`, aligned and zero-padded, where B is transposed,
//! ragged, or used often enough to pay for a copy; otherwise it is read where it lies. A is read in place too, unless
//! it is transposed and wide. Sizes are cut evenly (256 rows are 14 x 12 + 8 x 11, not 21 x 12 + 4), and a narrow
//! last panel uses fewer vectors.
//!
//! A *unit* of work is a batch element, a slab and a range of tile rows; threads claim units. Every sum runs over k
//! in the same order and the same blocks whoever computes it, so the number of threads changes no bit.

use super::pack::{self, Panel, Source};
use super::tile::{Tile, TileShape};
use super::{Activation, Matmul};
use crate::cpu::{Cpu, aligned};
use crate::simd::LANES;
use crate::threads::{Parts, part};
use std::ops::Range;

/// Longest block of a sum: 12 rows of A are 38 KiB, most of L1. Images of 28x28 are one block.
const K_BLOCK: usize = 800;

/// Longer sums, such as those of the gradient of a weight over all tokens of a batch, are cut into blocks of at most this:
/// a block of both matrices is packed, multiplied and forgotten before it leaves L2.
const LONG_K_BLOCK: usize = 512;

/// Floats of a block of a slab of B, at most: 512 KiB, a part of L2.
const SLAB_WORDS: usize = 128 * 1024;

/// Work of a unit below which claiming it costs too much.
const FLOPS_PER_UNIT: usize = 100_000;

/// Units per thread, so that a thread that comes late or is interrupted does not hold up the others.
const UNITS_PER_THREAD: usize = 8;

/// With so many panels per thread, threads share the columns of C, not its rows: each then packs what it multiplies
/// with, and finds in its cache the columns that other kernels computed on the same thread.
const SPLIT_PANELS: usize = 4;

/// Panels that are packed together, and the fewest elements of a packing task.
const PACK_PANELS: usize = 8;
const PACK_ELEMENTS: usize = 16_384;

/// The same in long sums, where a row of a block lies far from the next: long pieces of rows, which the processor fetches
/// ahead of time.
const LONG_PACK_PANELS: usize = 32;

/// A transposed A with at least this many rows is packed: its rows of k lie on many pages and in few sets of L1.
const PACK_A_ROWS: usize = 256;
/// But not for fewer panels, which would hardly use the copy.
const PACK_A_PANELS: usize = 4;

/// A row-major B is read in place for at most this many rows of C,
const IN_PLACE_ROWS: usize = 256;
/// if its own rows are shorter than a page,
const IN_PLACE_COLUMNS: usize = 1024;
/// and always for two tile rows or less, which would hardly use the copy.
const IN_PLACE_ANYWAY: usize = 24;

/// How a product is cut. Everything that changes a result depends on shapes only.
struct Plan {
    shape: TileShape,
    /// Tile rows of C.
    tiles: usize,
    /// Panels of B, the last one possibly narrower.
    panels: usize,
    /// Floats per k of the last panel, a multiple of the vector.
    last_width: usize,
    /// The first panel that is packed; those before are read in place.
    first_packed: usize,
    /// Blocks of the sums.
    k_blocks: usize,
    /// Slabs and row ranges of a batch element.
    slabs: usize,
    row_blocks: usize,
    /// Threads that get units.
    threads: usize,
    /// A is packed.
    pack_a: bool,
}

impl Plan {
    fn new(matmul: &Matmul, cpu: &Cpu) -> Self {
        let Matmul { batch, m, n, k, a_transposed, b_transposed, .. } = *matmul;
        let shape = TileShape::of(cpu.isa);
        let (tiles, panels) = (m.div_ceil(shape.rows), n.div_ceil(shape.columns));
        let last_width = (n - (panels - 1) * shape.columns).next_multiple_of(LANES);
        let long = k > K_BLOCK;
        let pack_a = a_transposed && (m >= PACK_A_ROWS || long) && panels >= PACK_A_PANELS;
        let in_place =
            !b_transposed && (m <= IN_PLACE_ANYWAY || m <= IN_PLACE_ROWS && n < IN_PLACE_COLUMNS && !long);
        let first_packed = match in_place {
            true => panels - usize::from(!n.is_multiple_of(LANES)),
            false => 0,
        };
        let k_blocks = if long { k.div_ceil(LONG_K_BLOCK) } else { 1 };
        let flops = 2 * batch * m * n * k;
        let threads = cpu.threads_for(flops);
        let wanted = match threads {
            1 => 1,
            _ => (threads * UNITS_PER_THREAD).min(flops / FLOPS_PER_UNIT).max(threads).div_ceil(batch),
        };
        let mut slabs = panels.div_ceil((SLAB_WORDS / (k.div_ceil(k_blocks) * shape.columns)).max(1));
        if panels >= SPLIT_PANELS * threads {
            slabs = slabs.next_multiple_of(threads);
        }
        let row_blocks = wanted.div_ceil(slabs).min(tiles);
        let slabs = slabs.max(wanted.div_ceil(row_blocks)).min(panels);
        Self { shape, tiles, panels, last_width, first_packed, k_blocks, slabs, row_blocks, threads, pack_a }
    }

    /// Floats per k of all packed panels of B.
    fn b_width(&self) -> usize {
        match self.panels - self.first_packed {
            0 => 0,
            packed => (packed - 1) * self.shape.columns + self.last_width,
        }
    }

    /// A panel of B.
    fn b_panel(&self, matmul: &Matmul, panel: usize) -> Panel {
        let start = panel * self.shape.columns;
        let last = panel + 1 == self.panels;
        let width = if last { self.last_width } else { self.shape.columns };
        Panel { columns: start..(start + width).min(matmul.n), width }
    }

    /// Where panels of B lie in the packed copy of a block.
    fn b_packed(&self, element: usize, block: &Range<usize>, panels: &Range<usize>) -> Range<usize> {
        let start = element * block.len() * self.b_width();
        let at = |panel: usize| {
            let columns = (panel - self.first_packed) * self.shape.columns;
            start + columns.min(self.b_width()) * block.len()
        };
        at(panels.start)..at(panels.end)
    }

    /// A tile row of op(A), a panel of op(A)^T.
    fn a_panel(&self, matmul: &Matmul, tile: usize) -> Panel {
        let columns = part(matmul.m, self.tiles, tile);
        Panel { width: columns.len(), columns }
    }

    /// Where tile rows of A lie in the packed copy of a block.
    fn a_packed(
        &self,
        matmul: &Matmul,
        element: usize,
        block: &Range<usize>,
        tiles: &Range<usize>,
    ) -> Range<usize> {
        let start = element * block.len() * matmul.m;
        let at = |tile: usize| start + tile * matmul.m / self.tiles * block.len();
        at(tiles.start)..at(tiles.end)
    }

    /// Words of the packed copy of the longest block of B, and of A.
    fn b_words(&self, matmul: &Matmul) -> usize {
        matmul.batch * matmul.k.div_ceil(self.k_blocks) * self.b_width()
    }

    fn a_words(&self, matmul: &Matmul) -> usize {
        if self.pack_a { matmul.batch * matmul.k.div_ceil(self.k_blocks) * matmul.m } else { 0 }
    }
}

/// Words of scratch memory: the packed copies of B and A, and room to align them.
pub(super) fn scratch(matmul: &Matmul, cpu: &Cpu) -> usize {
    let plan = Plan::new(matmul, cpu);
    match plan.b_words(matmul) + plan.a_words(matmul) {
        0 => 0,
        words => words + LANES,
    }
}

/// The matrices of one run.
struct Product<'a> {
    matmul: &'a Matmul,
    plan: Plan,
    cpu: &'a Cpu,
    a: &'a [f32],
    b: &'a [f32],
    bias: Option<&'a [f32]>,
}

pub(super) fn run(
    matmul: &Matmul,
    cpu: &Cpu,
    a: &[f32],
    b: &[f32],
    bias: Option<&[f32]>,
    c: &mut [f32],
    scratch: &mut [f32],
) {
    // The micro-kernel takes pointers: these lengths are all that it relies on.
    let Matmul { batch, m, n, k, .. } = *matmul;
    assert!(a.len() == batch * m * k && b.len() == batch * k * n && c.len() == batch * m * n);
    assert!(bias.is_none_or(|bias| bias.len() == n));
    let plan = Plan::new(matmul, cpu);
    let (b_copy, a_copy) = aligned(scratch).split_at_mut(plan.b_words(matmul));
    let a_copy = &mut a_copy[..plan.a_words(matmul)];
    let product = Product { matmul, plan, cpu, a, b, bias };
    for block in 0..product.plan.k_blocks {
        product.pack(block, a_copy, b_copy);
        product.multiply(block, a_copy, b_copy, c);
    }
}

impl Product<'_> {
    fn k_block(&self, index: usize) -> Range<usize> {
        part(self.matmul.k, self.plan.k_blocks, index)
    }

    /// A of a batch element, from a k on, and the distance of its rows as stored.
    fn a_rows(&self, element: usize, k_start: usize) -> (&[f32], usize) {
        let Matmul { m, k, a_transposed, .. } = *self.matmul;
        let a = &self.a[element * m * k..(element + 1) * m * k];
        if a_transposed { (&a[k_start * m..], m) } else { (&a[k_start..], k) }
    }

    /// B of a batch element, from a k on, and the distance of its rows as stored.
    fn b_rows(&self, element: usize, k_start: usize) -> (&[f32], usize) {
        let Matmul { n, k, b_transposed, .. } = *self.matmul;
        let b = &self.b[element * k * n..(element + 1) * k * n];
        if b_transposed { (&b[k_start..], k) } else { (&b[k_start * n..], n) }
    }

    /// Copies the panels of a block that are not read in place.
    fn pack(&self, block: usize, a_copy: &mut [f32], b_copy: &mut [f32]) {
        let Self { matmul, plan, cpu, .. } = self;
        let (isa, batch, block) = (cpu.isa, matmul.batch, self.k_block(block));
        let elements = a_copy.len() + b_copy.len();
        if elements == 0 {
            return;
        }
        let (tiles, panels) = (if plan.pack_a { plan.tiles } else { 0 }, plan.panels - plan.first_packed);
        let together = if plan.k_blocks > 1 { LONG_PACK_PANELS } else { PACK_PANELS };
        let groups = tiles.max(panels).div_ceil(together).max(plan.k_blocks.min(plan.threads));
        let tasks = (elements / PACK_ELEMENTS).clamp(1, batch * groups);
        let (a_copy, b_copy) = (Parts::new(a_copy), Parts::new(b_copy));
        cpu.threads.run(tasks, &|task| {
            for copy in part(batch * groups, tasks, task) {
                // Elements of a group one after the other: a thread packs the columns that it multiplies with.
                let (group, element) = (copy / batch, copy % batch);
                let tiles = part(tiles, groups, group);
                if !tiles.is_empty() {
                    let (matrix, stride) = self.a_rows(element, block.start);
                    let source = Source { matrix, stride, transposed: false };
                    // SAFETY: every group has a range of its own.
                    let to = unsafe { a_copy.part(plan.a_packed(matmul, element, &block, &tiles)) };
                    pack::pack(isa, source, block.len(), tiles.map(|tile| plan.a_panel(matmul, tile)), to);
                }
                let panels = part(panels, groups, group);
                if !panels.is_empty() {
                    let panels = plan.first_packed + panels.start..plan.first_packed + panels.end;
                    let (matrix, stride) = self.b_rows(element, block.start);
                    let source = Source { matrix, stride, transposed: matmul.b_transposed };
                    // SAFETY: every group has a range of its own.
                    let to = unsafe { b_copy.part(plan.b_packed(element, &block, &panels)) };
                    pack::pack(isa, source, block.len(), panels.map(|panel| plan.b_panel(matmul, panel)), to);
                }
            }
        });
    }

    /// Shares the units of a block among the threads.
    fn multiply(&self, block: usize, a_copy: &[f32], b_copy: &[f32], c: &mut [f32]) {
        let Self { matmul, plan, cpu, .. } = self;
        let units_per_element = plan.slabs * plan.row_blocks;
        let units = matmul.batch * units_per_element;
        let c = Parts::new(c);
        let unit = |unit: usize| {
            let (element, unit) = (unit / units_per_element, unit % units_per_element);
            let panels = part(plan.panels, plan.slabs, unit / plan.row_blocks);
            let tiles = part(plan.tiles, plan.row_blocks, unit % plan.row_blocks);
            // SAFETY: units run once and cover different tiles of C.
            unsafe { self.unit(block, element, tiles, panels, a_copy, b_copy, &c) };
        };
        if plan.threads == 1 { (0..units).for_each(unit) } else { cpu.threads.run(units, &unit) }
    }

    /// Computes one block of the sums of the tiles of C in some tile rows and panels.
    ///
    /// # Safety
    /// Nobody else may touch these tiles of C.
    unsafe fn unit(
        &self,
        index: usize,
        element: usize,
        tiles: Range<usize>,
        panels: Range<usize>,
        a_copy: &[f32],
        b_copy: &[f32],
        c: &Parts<f32>,
    ) {
        let (Matmul { m, n, a_transposed, activation, .. }, plan) = (*self.matmul, &self.plan);
        let block = self.k_block(index);
        let last = index + 1 == plan.k_blocks;
        let (a_rows, a_stride) = self.a_rows(element, block.start);
        let (b_rows, b_stride) = self.b_rows(element, block.start);
        for tile in tiles.clone() {
            let rows = part(m, plan.tiles, tile);
            let (a, a_row, a_k) = if plan.pack_a {
                (&a_copy[plan.a_packed(self.matmul, element, &block, &(tile..tile + 1))], 1, rows.len())
            } else if a_transposed {
                (&a_rows[rows.start..], 1, a_stride)
            } else {
                (&a_rows[rows.start * a_stride..], a_stride, 1)
            };
            for panel in panels.clone() {
                let Panel { columns, width } = plan.b_panel(self.matmul, panel);
                let (b, b_k) = if panel >= plan.first_packed {
                    (&b_copy[plan.b_packed(element, &block, &(panel..panel + 1))], width)
                } else {
                    (&b_rows[columns.start..], b_stride)
                };
                let first = (element * m + rows.start) * n + columns.start;
                let tile = Tile {
                    rows: rows.len(),
                    columns: columns.len(),
                    k: block.len(),
                    a: std::array::from_fn(|group| a.as_ptr().wrapping_add(3 * group * a_row)),
                    a_row,
                    a_k,
                    b: b.as_ptr(),
                    b_k,
                    // SAFETY: the promise of the caller.
                    c: unsafe { c.pointer(first, (rows.len() - 1) * n + columns.len()) },
                    c_row: n,
                    first: index == 0,
                    bias: self.bias.map_or(std::ptr::null(), |bias| bias[columns.start..].as_ptr()),
                    floor: match activation {
                        Activation::Relu if last => 0.0,
                        _ => f32::NEG_INFINITY,
                    },
                };
                // With no products at all nothing is read.
                let k = block.len().saturating_sub(1);
                assert!(a.len() > (rows.len() - 1) * a_row + k * a_k || block.is_empty());
                assert!(b.len() >= k * b_k + width || block.is_empty());
                // SAFETY: A and B hold all rows and whole vectors of this tile (asserted above), and the tile of C is ours.
                unsafe { tile.run(self.cpu.isa) };
            }
        }
    }
}
