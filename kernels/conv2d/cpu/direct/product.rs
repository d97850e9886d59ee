//! Windows times weights: the blocking around the micro-kernel of [`super::tile`].
//!
//! ```text
//! for each group of slabs of the weights            they stay in L2
//!   for each band of outputs                        its windows are copied to L2
//!     for each tile of windows                      they stay in L1, if the channels are not too many
//!       for each slab of the group                  streams by
//!         micro-kernel: whole sums in registers, written once
//! ```
//!
//! A *slab* is the weights of 32 output channels (16 without AVX-512), packed as `[window][32]`. Threads claim pairs of
//! a group and a band. Every sum is one chain over the window, so the number of threads changes no bit.

use super::tile::{MAX_GROUPS, Tile, TileShape};
use super::windows::{Windows, part};
use crate::Cpu;
use crate::matmul::pack::{Panel, Source, pack};
use crate::simd::LANES;
use crate::threads::Parts;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Floats of a group of slabs, at most: 640 KiB, a part of L2.
const SLAB_WORDS: usize = 160 * 1024;
/// Work below which another thread costs more than it helps.
const FLOPS_PER_THREAD: usize = 400_000;

/// How many threads so much work is worth.
pub(super) fn threads_for(cpu: &Cpu, flops: usize) -> usize {
    (flops / FLOPS_PER_THREAD).clamp(1, cpu.threads.count())
}

/// Calls `task(index, memory)` for every index on `slots.len() / words` threads, each with `words` floats of its own.
pub(super) fn claim(
    cpu: &Cpu,
    threads: usize,
    tasks: usize,
    memory: &mut [f32],
    task: impl Fn(usize, &mut [f32]) + Sync,
) {
    let words = memory.len() / threads;
    let (memory, next) = (Parts::new(memory), AtomicUsize::new(0));
    cpu.threads.run(threads, &|slot| {
        // SAFETY: every slot runs once.
        let memory = unsafe { memory.part(slot * words..(slot + 1) * words) };
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= tasks {
                break;
            }
            task(index, memory);
        }
    });
}

/// Where the outputs lie. Distances are in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outputs {
    /// The first output.
    pub(super) start: usize,
    pub(super) image: usize,
    pub(super) row: usize,
    pub(super) pixel: usize,
}

/// One product of windows and weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) windows: Windows,
    /// Columns of the weights, channels of the outputs.
    pub(super) columns: usize,
    pub(super) outputs: Outputs,
}

impl Product {
    /// Sets the group of windows to what suits the machine.
    pub(super) fn new(mut windows: Windows, columns: usize, outputs: Outputs, cpu: &Cpu) -> Self {
        let width = windows.outputs[1];
        // Up to a sixteenth of the windows may be in vain.
        let fits = |group: &usize| width.next_multiple_of(*group) * 16 <= width * 17;
        windows.group = [TileShape::of(cpu.isa).group, 2].into_iter().find(fits).unwrap_or(1);
        Self { windows, columns, outputs }
    }

    /// Floats of the packed weights, whole vectors in every row.
    pub(super) fn weight_words(&self) -> usize {
        self.windows.len() * self.columns.next_multiple_of(LANES)
    }

    /// Threads that it is worth.
    fn threads(&self, cpu: &Cpu) -> usize {
        let Windows { batch, outputs: [rows, columns], .. } = self.windows;
        threads_for(cpu, 2 * batch * rows * columns * self.columns * self.windows.len())
    }

    /// Floats of scratch memory besides the packed weights.
    pub(super) fn scratch(&self, cpu: &Cpu) -> usize {
        self.threads(cpu) * self.windows.copy_words().next_multiple_of(LANES)
    }

    /// Slabs of the weights.
    fn slabs(&self, cpu: &Cpu) -> usize {
        self.columns.div_ceil(TileShape::of(cpu.isa).vectors * LANES)
    }

    /// Packs the weights. `rows(range)` says where some rows of them lie and must not cut what it cannot.
    pub(super) fn pack<'a>(
        &self,
        cpu: &Cpu,
        blocks: usize,
        block: impl Fn(usize) -> Source<'a> + Sync,
        packed: &mut [f32],
    ) {
        let width = TileShape::of(cpu.isa).vectors * LANES;
        let (slabs, rows) = (self.slabs(cpu), self.windows.len());
        let tasks = slabs * blocks;
        if rows == 0 {
            return;
        }
        let packed = Parts::new(packed);
        let task = |task: usize| {
            let (slab, index) = (task / blocks, task % blocks);
            let columns = slab * width..((slab + 1) * width).min(self.columns);
            let panel = Panel { width: columns.len().next_multiple_of(LANES), columns };
            let length = rows / blocks;
            let start = slab * width * rows + index * length * panel.width;
            // SAFETY: every block of every slab has a range of its own.
            let to = unsafe { packed.part(start..start + length * panel.width) };
            pack(cpu.isa, block(index), length, std::iter::once(panel), to);
        };
        match threads_for(cpu, 32 * self.weight_words()) {
            1 => (0..tasks).for_each(task),
            _ => cpu.threads.run(tasks, &task),
        }
    }

    /// Computes all outputs.
    pub(super) fn run(
        &self,
        cpu: &Cpu,
        source: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        out: &mut [f32],
        memory: &mut [f32],
    ) {
        let slabs = self.slabs(cpu);
        let slab_words = (self.windows.len() * TileShape::of(cpu.isa).vectors * LANES).max(1);
        let groups = slabs.div_ceil((SLAB_WORDS / slab_words).max(1));
        let bands = self.windows.bands();
        let out = AtomicPtr::new(out.as_mut_ptr());
        claim(cpu, self.threads(cpu), groups * bands, memory, |task, copy| {
            let slabs = part(slabs, groups, task / bands);
            // SAFETY: every pair of a group and a band is claimed once and has outputs of its own.
            unsafe {
                self.band(cpu, source, weights, bias, task % bands, slabs, out.load(Ordering::Relaxed), copy);
            }
        });
    }

    /// Computes the outputs of a band and some slabs.
    ///
    /// # Safety
    /// `out` is all outputs, and nobody else may touch these.
    unsafe fn band(
        &self,
        cpu: &Cpu,
        source: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        band: usize,
        slabs: Range<usize>,
        out: *mut f32,
        copy: &mut [f32],
    ) {
        let Self { windows, columns, outputs } = self;
        let shape = TileShape::of(cpu.isa);
        let width = shape.vectors * LANES;
        let band = windows.band_at(band);
        let view = windows.view(source, &band, copy);
        // With one vector per slab there are registers for more windows.
        let rows = if *columns <= LANES { shape.rows * shape.vectors } else { shape.rows };
        let (per_row, per_image) = (windows.groups(), windows.groups() * band.rows.len());
        let groups = per_image * band.images.len();
        let tiles = groups.div_ceil(rows / windows.group);
        for tile in 0..tiles {
            let range = part(groups, tiles, tile);
            let mut tile = Tile {
                groups: range.len(),
                group: windows.group,
                windows: [view.start; MAX_GROUPS],
                step: windows.step * windows.channels,
                rows: windows.size[0],
                row: view.row,
                run: windows.run(),
                weights: weights.as_ptr(),
                columns: 0,
                out: [out; MAX_GROUPS],
                out_step: outputs.pixel,
                outputs: [0; MAX_GROUPS],
                out_column: 0,
                bias: std::ptr::null(),
            };
            for (slot, index) in range.enumerate() {
                let (image, row, first) =
                    (index / per_image, index % per_image / per_row, index % per_row * windows.group);
                tile.windows[slot] = view.start.wrapping_add(
                    image * view.image
                        + row * windows.step * view.row
                        + first * windows.step * windows.channels,
                );
                tile.out[slot] = out.wrapping_add(
                    outputs.start
                        + (band.images.start + image) * outputs.image
                        + (band.rows.start + row) * outputs.row
                        + first * outputs.pixel,
                );
                tile.outputs[slot] = windows.group.min(windows.outputs[1] - first);
            }
            for slab in slabs.clone() {
                let column = slab * width;
                tile.columns = width.min(columns - column);
                tile.weights = weights.as_ptr().wrapping_add(column * windows.len());
                tile.out_column = column;
                tile.bias = bias.map_or(std::ptr::null(), |bias| bias[column..].as_ptr());
                // SAFETY: the view holds all windows of the band, the packed weights whole vectors of this slab, and the
                // outputs are ours by the promise of the caller.
                unsafe { tile.run(cpu.isa) };
            }
        }
    }
}
