//! The gradient of the weight: windows of x, transposed, times dy.
//!
//! ```text
//! for each block of columns of dweight               its sums stay in L2
//!   for each part of the batch
//!     for each band of the part                      its windows are copied to L2
//!       for each panel of dy                         32 columns, copied to L1
//!         for each tile of rows of dweight
//!           micro-kernel: sums over the band in registers, added to those of the part
//! add the parts in their order
//! ```
//!
//! How the batch is cut into parts depends on the shape only, so the number of threads changes no bit.

use super::Conv2d;
use super::accumulate::Sums;
use super::tile::TileShape;
use super::windows::Windows;
use crate::Cpu;
use crate::cpu::aligned;
use crate::matmul::pack::{Panel, Source, pack};
use crate::simd::LANES;
use crate::threads::{Parts, part};

/// Floats of a block of sums, at most: 640 KiB, a part of L2.
const BLOCK_WORDS: usize = 160 * 1024;
/// Blocks times parts, if there is enough to share.
const TASKS: usize = 32;
/// Floats of the sums of all parts, at most, where there are several.
const PARTS_WORDS: usize = 1024 * 1024;
/// Rows of dweight that a task of the last step adds up.
const ROWS_PER_TASK: usize = 32;
/// A dy with at most this many channels is read in place: its panels lie close enough together.
const IN_PLACE_COLUMNS: usize = 64;

/// How dweight, a matrix `[K K C, O]`, is cut.
struct Plan {
    windows: Windows,
    /// Columns of dweight, channels of dy.
    columns: usize,
    /// Columns of a panel, all but the last.
    width: usize,
    panels: usize,
    /// Blocks of panels.
    blocks: usize,
    /// Parts of the batch.
    parts: usize,
    shape: TileShape,
    threads: usize,
}

impl Plan {
    fn new(conv: &Conv2d, cpu: &Cpu) -> Self {
        let columns = conv.out_channels;
        let windows = Windows {
            batch: conv.batch,
            source: [conv.height, conv.width],
            channels: conv.in_channels,
            outputs: [conv.out_height(), conv.out_width()],
            step: conv.stride,
            size: [conv.kernel; 2],
            first: [-(conv.padding as isize); 2],
            group: 1,
        };
        let shape = TileShape::of(cpu.isa);
        let width = shape.vectors * LANES;
        let panels = columns.div_ceil(width);
        let blocks = panels.div_ceil((BLOCK_WORDS / (windows.len() * width)).max(1));
        let words = windows.len() * columns.next_multiple_of(LANES);
        let parts = (TASKS / blocks).min(PARTS_WORDS / words).clamp(1, windows.bands());
        let threads = cpu.threads_for(conv.cost().flops as usize);
        Self { windows, columns, width, panels, blocks, parts, shape, threads }
    }

    /// Floats of the sums of a part: `[panel][row][width]`, the last panel perhaps narrower.
    fn sums(&self) -> usize {
        self.windows.len() * self.columns.next_multiple_of(LANES)
    }

    /// Floats of the memory of a thread: a copy of the windows, and a panel of dy.
    fn memory(&self) -> usize {
        self.windows.copy_words().next_multiple_of(LANES) + self.windows.band_outputs() * self.width
    }

    /// First column of a panel, and how many it has.
    fn panel(&self, panel: usize) -> (usize, usize) {
        let column = panel * self.width;
        (column, self.width.min(self.columns - column))
    }
}

pub(in super::super) fn backward_weight_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    let plan = Plan::new(conv, cpu);
    plan.parts * plan.sums() + plan.threads * plan.memory() + LANES
}

pub(in super::super) fn backward_weight(
    conv: &Conv2d,
    cpu: &Cpu,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    scratch: &mut [f32],
) {
    conv.check(x, dweight, None, dy);
    let plan = Plan::new(conv, cpu);
    let (sums, memory) = aligned(scratch).split_at_mut(plan.parts * plan.sums());
    let parts = Parts::new(sums);
    let memory = &mut memory[..plan.threads * plan.memory()];
    cpu.threads.with_memory(plan.threads, plan.blocks * plan.parts, memory, &|task, memory| {
        plan.sum_part(cpu, x, dy, task / plan.parts, task % plan.parts, &parts, memory);
    });
    let sums = &*sums;
    let length = ROWS_PER_TASK * plan.columns;
    let add = |task: usize, to: &mut [f32]| plan.add_parts(sums, task * ROWS_PER_TASK, to);
    match cpu.threads_for(sums.len()) {
        1 => dweight.chunks_mut(length).enumerate().for_each(|(task, to)| add(task, to)),
        _ => cpu.threads.chunks_mut(dweight, length, &add),
    }
}

impl Plan {
    /// The sums of a block over a part of the batch.
    fn sum_part(
        &self,
        cpu: &Cpu,
        x: &[f32],
        dy: &[f32],
        block: usize,
        index: usize,
        sums: &Parts<f32>,
        memory: &mut [f32],
    ) {
        let Self { windows, columns: row, .. } = self;
        let (copy, copied_dy) = memory.split_at_mut(windows.copy_words().next_multiple_of(LANES));
        for (count, band) in part(windows.bands(), self.parts, index).enumerate() {
            let band = windows.band_at(band);
            let view = windows.view(x, &band, copy);
            let [height, width] = windows.outputs;
            let outputs = band.images.len() * band.rows.len() * width;
            let start = (band.images.start * height + band.rows.start) * width;
            let dy = &dy[start * row..];
            for panel in part(self.panels, self.blocks, block) {
                let (column, columns) = self.panel(panel);
                let vectors = columns.div_ceil(LANES);
                let start = index * self.sums() + column * windows.len();
                // SAFETY: every panel of every part belongs to one task.
                let sums = unsafe { sums.part(start..start + windows.len() * vectors * LANES) };
                // Lanes beyond the last column are never used, but must be readable.
                let readable = (outputs - 1) * row + column + vectors * LANES <= dy.len();
                let (dy, dy_step) = if *row <= IN_PLACE_COLUMNS && readable {
                    (dy[column..].as_ptr(), *row)
                } else {
                    let source = Source { matrix: dy, stride: *row, transposed: false };
                    let panel = Panel { columns: column..column + columns, width: vectors * LANES };
                    pack(cpu.isa, source, outputs, std::iter::once(panel), copied_dy);
                    (copied_dy.as_ptr(), vectors * LANES)
                };
                self.sum_panel(
                    cpu,
                    Sums {
                        rows: 0,
                        vectors,
                        windows: view.start,
                        counts: [band.images.len(), band.rows.len(), width],
                        steps: [view.image, windows.step * view.row, windows.step * windows.channels],
                        dy,
                        dy_step,
                        to: std::ptr::null_mut(),
                        first: count == 0,
                    },
                    view.row,
                    sums,
                );
            }
        }
    }

    /// Adds the products of a band of windows, `row` apart, and a panel of dy to `sums`, tile by tile.
    fn sum_panel(&self, cpu: &Cpu, task: Sums, row: usize, sums: &mut [f32]) {
        let run = self.windows.run();
        let tiles = run.div_ceil(self.shape.rows_for(task.vectors * LANES));
        let mut rest = sums;
        for u in 0..self.windows.size[0] {
            for tile in 0..tiles {
                let rows = part(run, tiles, tile);
                let (to, behind) = rest.split_at_mut(rows.len() * task.vectors * LANES);
                let start = task.windows.wrapping_add(u * row + rows.start);
                let tile = Sums { rows: rows.len(), windows: start, to: to.as_mut_ptr(), ..task };
                // SAFETY: the view holds all windows of the band, the panel all of its outputs, and `to` is exclusive.
                unsafe { tile.run(cpu.isa) };
                rest = behind;
            }
        }
    }

    /// Some rows of dweight, from `first` on: the sums of all parts, added in their order.
    fn add_parts(&self, sums: &[f32], first: usize, to: &mut [f32]) {
        let rows = to.len() / self.columns;
        for panel in 0..self.panels {
            let (column, columns) = self.panel(panel);
            let width = columns.next_multiple_of(LANES);
            let start = column * self.windows.len() + first * width;
            for part in 0..self.parts {
                let from = &sums[part * self.sums() + start..][..rows * width];
                for (to, from) in to.chunks_exact_mut(self.columns).zip(from.chunks_exact(width)) {
                    let to = &mut to[column..column + columns];
                    match part {
                        0 => to.copy_from_slice(&from[..columns]),
                        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
                    }
                }
            }
        }
    }
}
