//! Windows times weights: the blocking around the micro-kernel of [`super::tile`].
//!
//! ```text
//! for each group of slabs of the weights            they stay in L2
//!   for each band of outputs                        its windows are copied to L2
//!     for each phase                                1, or stride x stride in the backward pass
//!       for each tile of windows                    they stay in L1, if the channels are not too many
//!         for each slab of the group                streams by
//!           micro-kernel: whole sums in registers, written once
//! ```
//!
//! A *slab* is the weights of 32 columns (16 without AVX-512), packed as `[window][32]`. Threads claim pairs of a group
//! and a band. Every sum is one chain over the window, so the number of threads changes no bit.
//!
//! The *phases* share the source and the distances, not the weights: each has windows of its own inside of the common
//! one.

use super::tile::{MAX_GROUPS, Tile, TileShape};
use super::windows::{Band, View, Windows};
use crate::Cpu;
use crate::matmul::pack::{Panel, Source, pack};
use crate::simd::LANES;
use crate::threads::{Parts, part};
use std::ops::Range;

/// Floats of a group of slabs, at most: 640 KiB, a part of L2.
const SLAB_WORDS: usize = 160 * 1024;

/// Windows per pointer, see [`Tile`]. Those behind the last output of a row are in vain.
pub(super) fn group(cpu: &Cpu, columns: usize, width: usize) -> usize {
    let shape = TileShape::of(cpu.isa);
    match shape.rows_for(columns) > shape.rows {
        true if width.is_multiple_of(4) || width > 32 => 4,
        true => 2,
        false => 1,
    }
}

/// From rows of a vector, half of it empty, to pairs of rows, in the first half of the memory.
fn interleave(packed: &mut [f32]) {
    for pair in 0..packed.len() / (2 * LANES) {
        let rows: [f32; 2 * LANES] = std::array::from_fn(|i| packed[pair * 2 * LANES + i]);
        for (i, to) in packed[pair * LANES..][..LANES].iter_mut().enumerate() {
            *to = rows[i % 2 * LANES + i / 2];
        }
    }
}

/// Distances of the outputs of a phase, in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outputs {
    pub(super) image: usize,
    pub(super) row: usize,
    pub(super) pixel: usize,
}

/// What a phase computes, and from what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    /// Rows and columns of its outputs in an image.
    pub(super) outputs: [usize; 2],
    /// Its first output.
    pub(super) start: usize,
    /// Rows and columns of its windows; with none of them it computes zeros.
    pub(super) size: [usize; 2],
    /// Where they begin in the common window.
    pub(super) at: [usize; 2],
    /// Pixels in the windows of the phases before: their packed weights come first.
    pub(super) taps_before: usize,
}

impl Phase {
    /// Pixels of a window.
    pub(super) fn taps(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// A product of windows and weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product<P> {
    /// The common windows.
    pub(super) windows: Windows,
    /// Columns of the weights, channels of the outputs.
    pub(super) columns: usize,
    pub(super) outputs: Outputs,
    /// Pixels in the windows of all phases.
    pub(super) taps: usize,
    pub(super) phases: usize,
    pub(super) phase: P,
}

impl<P: Fn(usize) -> Phase + Sync> Product<P> {
    /// Floats of the packed weights, whole vectors in every row.
    pub(super) fn weight_words(&self) -> usize {
        self.taps * self.windows.channels * self.columns.next_multiple_of(LANES)
    }

    /// Threads that it is worth.
    fn threads(&self, cpu: &Cpu) -> usize {
        let Windows { batch, outputs: [rows, columns], channels, .. } = self.windows;
        cpu.threads_for(2 * batch * rows * columns * self.columns * self.taps * channels)
    }

    /// Floats of scratch memory besides the packed weights.
    pub(super) fn scratch(&self, cpu: &Cpu) -> usize {
        self.threads(cpu) * self.windows.copy_words().next_multiple_of(LANES)
    }

    /// Packs the weights. `tap` says where those of a pixel of a phase's window lie.
    pub(super) fn pack<'a>(
        &self,
        cpu: &Cpu,
        tap: impl Fn(usize, usize) -> Source<'a> + Sync,
        packed: &mut [f32],
    ) {
        let width = TileShape::of(cpu.isa).vectors * LANES;
        let rows = self.windows.channels;
        let slabs = self.columns.div_ceil(width);
        let packed = Parts::new(packed);
        for index in 0..self.phases {
            let phase = (self.phase)(index);
            let taps = phase.taps();
            let task = |task: usize| {
                let (slab, at) = (task / taps, task % taps);
                let columns = slab * width..((slab + 1) * width).min(self.columns);
                let panel = Panel { width: columns.len().next_multiple_of(LANES), columns };
                let start = self.weights_at(&phase, slab * width) + at * rows * panel.width;
                // SAFETY: every pixel has a range of its own in every slab.
                let to = unsafe { packed.part(start..start + rows * panel.width) };
                pack(cpu.isa, tap(index, at), rows, std::iter::once(panel), to);
            };
            match cpu.threads_for(32 * taps * rows * self.columns) {
                1 => (0..slabs * taps).for_each(task),
                _ => cpu.threads.run(slabs * taps, &task),
            }
            if self.pairs() {
                let start = self.weights_at(&phase, 0);
                // SAFETY: all tasks are done.
                interleave(unsafe { packed.part(start..start + taps * rows * LANES) });
            }
        }
    }

    /// Whether the weights are packed in pairs, see [`Tile`].
    fn pairs(&self) -> bool {
        self.columns <= LANES / 2 && self.windows.channels.is_multiple_of(2)
    }

    /// Where the packed weights of a phase begin, from the slab with this column on.
    fn weights_at(&self, phase: &Phase, column: usize) -> usize {
        let padded = self.columns.next_multiple_of(LANES);
        (phase.taps_before * padded + phase.taps() * column) * self.windows.channels
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
        let width = TileShape::of(cpu.isa).vectors * LANES;
        let slabs = self.columns.div_ceil(width);
        let slab_words = self.taps * self.windows.channels * width;
        let groups = slabs.div_ceil((SLAB_WORDS / slab_words).max(1));
        let bands = self.windows.bands();
        let out = Parts::new(out);
        cpu.threads.with_memory(self.threads(cpu), groups * bands, memory, &|task, copy| {
            let slabs = part(slabs, groups, task / bands);
            let band = self.windows.band_at(task % bands);
            let view = self.windows.view(source, &band, copy);
            for phase in 0..self.phases {
                let phase = (self.phase)(phase);
                // SAFETY: every pair of a group and a band is claimed once and has outputs of its own.
                unsafe { self.band(cpu, &phase, (&band, view), weights, bias, slabs.clone(), &out) };
            }
        });
    }

    /// Computes the outputs of a phase in a band and some slabs.
    ///
    /// # Safety
    /// `view` holds the windows of the band, and nobody else may touch these outputs.
    unsafe fn band(
        &self,
        cpu: &Cpu,
        phase: &Phase,
        (band, view): (&Band, View),
        weights: &[f32],
        bias: Option<&[f32]>,
        slabs: Range<usize>,
        out: &Parts<f32>,
    ) {
        let Self { windows, columns, outputs, .. } = self;
        let (shape, channels) = (TileShape::of(cpu.isa), windows.channels);
        let width = shape.vectors * LANES;
        let rows = band.rows.end.min(phase.outputs[0]).saturating_sub(band.rows.start);
        let groups = band.images.len() * rows * phase.outputs[1].div_ceil(windows.group);
        let tiles = groups.div_ceil(shape.rows_for(*columns) / windows.group);
        let first = phase.at[0] * view.row + phase.at[1] * channels;
        // Image, row and column of the next group. Divisions would take as long as a short window.
        let mut at = [0; 3];
        let mut tile = Tile {
            groups: 0,
            group: windows.group,
            windows: [view.start; MAX_GROUPS],
            step: windows.step * channels,
            rows: phase.size[0],
            row: view.row,
            run: phase.size[1] * channels,
            weights: weights.as_ptr(),
            pairs: self.pairs(),
            columns: 0,
            out: [std::ptr::null_mut(); MAX_GROUPS],
            out_step: outputs.pixel,
            outputs: [0; MAX_GROUPS],
            out_column: 0,
            bias: std::ptr::null(),
            first: true,
        };
        for index in 0..tiles {
            let range = part(groups, tiles, index);
            tile.groups = range.len();
            for slot in 0..range.len() {
                let [image, row, column] = at;
                tile.windows[slot] = view.start.wrapping_add(
                    first + image * view.image + windows.step * (row * view.row + column * channels),
                );
                let start = phase.start
                    + (band.images.start + image) * outputs.image
                    + (band.rows.start + row) * outputs.row
                    + column * outputs.pixel;
                let count = windows.group.min(phase.outputs[1] - column);
                // SAFETY: the promise of the caller.
                tile.out[slot] = unsafe { out.pointer(start, (count - 1) * outputs.pixel + columns) };
                tile.outputs[slot] = count;
                at[2] += windows.group;
                if at[2] >= phase.outputs[1] {
                    at = if row + 1 == rows { [image + 1, 0, 0] } else { [image, row + 1, 0] };
                }
            }
            for slab in slabs.clone() {
                let column = slab * width;
                tile.columns = width.min(columns - column);
                tile.weights = weights.as_ptr().wrapping_add(self.weights_at(phase, column));
                tile.out_column = column;
                tile.bias = bias.map_or(std::ptr::null(), |bias| bias[column..].as_ptr());
                // SAFETY: the view holds all windows of the band, the packed weights whole vectors of this slab, and the
                // outputs are ours by the promise of the caller.
                unsafe { tile.run(cpu.isa) };
            }
        }
    }
}
