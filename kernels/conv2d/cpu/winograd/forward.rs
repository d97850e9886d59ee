//! `M[ξ] = V[ξ] U[ξ]`: the forward pass, and the gradient of x as a forward pass over dy.

use super::frequencies::{Layout, MATRIX, Product, WORDS};
use super::transforms::{Grid, GridMut, OutputTransform, TILE, WeightTransform, prefetch, transform};
use super::windows::{Block, Images, Inputs};
use super::{CHANNELS, Cut, Tile, Tiles};
use crate::Cpu;
use crate::conv2d::Conv2d;
use crate::cpu::aligned;
use crate::matmul::pack::{Panel, Source, pack};
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;
use std::ops::Range;

/// Blocks of tiles for which a transformed weight is used, if the sums over the channels are not cut,
const BLOCKS_PER_UNIT: usize = 4;
/// and if there are still so many units, to keep threads busy.
const UNITS: usize = 16;

/// Scratch of a unit: V, U and M.
const UNIT_WORDS: usize = 3 * WORDS;

/// How the products are cut. Only how the channels of the input are cut changes a bit of the result.
#[derive(Debug)]
struct Plan {
    tiles: Tiles,
    /// Tiles, T.
    blocks: Cut,
    /// Channels of the input, the length of the sums.
    depths: Cut,
    /// Channels of the output.
    slabs: Cut,
    /// The blocks of each unit.
    groups: Cut,
    /// V has a row of `depth`, U and M have rows of `slab`.
    depth: Layout,
    slab: Layout,
}

impl Plan {
    fn new(conv: &Conv2d) -> Self {
        let tiles = Tiles::new(conv);
        let depths = Cut::new(conv.in_channels, CHANNELS, LANES);
        let slabs = Cut::new(conv.out_channels, CHANNELS, LANES);
        let (depth, slab) = (depths.longest(), slabs.longest());
        let blocks = Cut::new(tiles.count, MATRIX / depth.max(slab), 1);
        let group = match depths.parts {
            1 => (blocks.parts * slabs.parts / UNITS).clamp(1, BLOCKS_PER_UNIT),
            _ => 1,
        };
        let groups = Cut::new(blocks.parts, group, 1);
        let (depth, slab) = (Layout::new(depth), Layout::new(slab));
        Self { tiles, blocks, depths, slabs, groups, depth, slab }
    }
    fn units(&self) -> usize {
        self.groups.parts * self.slabs.parts
    }
    /// Threads with a unit.
    fn slots(&self, cpu: &Cpu) -> usize {
        cpu.threads.count().min(self.units())
    }
}

/// Floats of scratch memory, with room to align it.
pub(in super::super) fn forward_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    let plan = Plan::new(conv);
    UNIT_WORDS * plan.slots(cpu) + LANES
}

pub(in super::super) fn forward(
    conv: &Conv2d,
    cpu: &Cpu,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    conv.check(x, weight, bias, y);
    assert!(conv.kernel == 3 && conv.stride == 1);
    let plan = Plan::new(conv);
    let Plan { tiles, blocks, depths, slabs, groups, depth, slab } = plan;
    let (v_layout, u_layout, m_layout) = (depth, slab, slab);
    let &Conv2d { height, width, in_channels, padding, .. } = conv;
    let images = Images { pixels: x, height, width, channels: in_channels, padding, tiles };
    let y = &Parts::new(y);
    let (units, slots) = (plan.units(), plan.slots(cpu));
    let memory = &mut aligned(scratch)[..slots * UNIT_WORDS];
    cpu.threads.with_memory(slots, units, memory, &|unit, scratch| {
        let (group, slab) = (groups.part(unit / slabs.parts), slabs.part(unit % slabs.parts));
        let (v, rest) = scratch.split_at_mut(WORDS);
        let (u, m) = rest.split_at_mut(WORDS);
        for index in group.clone() {
            let block = blocks.part(index);
            for part in 0..depths.parts {
                let depth = depths.part(part);
                if index == group.start || depths.parts > 1 {
                    let (inputs, outputs) = (depth.clone(), slab.clone());
                    cpu.isa.run(Weights { conv, weight, inputs, outputs, to: u, layout: u_layout });
                }
                let (tiles, channels) = (block.clone(), depth.clone());
                cpu.isa.run(Inputs(Block { images, tiles, channels, to: v, layout: v_layout }));
                Product {
                    m: block.len(),
                    n: slab.len(),
                    k: depth.len(),
                    a_transposed: false,
                    first: part == 0,
                }
                .run(cpu.isa, (v, v_layout), (u, u_layout), (m, m_layout));
            }
            // SAFETY: units run once and cover different tiles or channels.
            let outputs = unsafe { Outputs::new(conv, tiles, block, slab.clone(), m, m_layout, bias, y) };
            cpu.isa.run(outputs);
        }
    });
}

/// The convolution whose forward pass over dy is the gradient of x.
pub(super) fn backward(conv: &Conv2d) -> Conv2d {
    Conv2d {
        height: conv.out_height(),
        width: conv.out_width(),
        in_channels: conv.out_channels,
        out_channels: conv.in_channels,
        padding: 2 - conv.padding,
        ..*conv
    }
}

/// Floats of scratch memory: those of the forward pass, and the weight with its channels exchanged.
pub(in super::super) fn backward_data_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    conv.weight_len() + forward_scratch(&backward(conv), cpu)
}

pub(in super::super) fn backward_data(
    conv: &Conv2d,
    cpu: &Cpu,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    let (mirrored, scratch) = scratch.split_at_mut(conv.weight_len());
    mirror(conv, cpu, weight, mirrored);
    forward(&backward(conv), cpu, dy, mirrored, None, dx, scratch);
}

/// Rows of the exchanged weight that one task writes.
const MIRRORED_ROWS: usize = 64;

/// `mirrored[8 - tap, o, c] = weight[tap, c, o]`
fn mirror(conv: &Conv2d, cpu: &Cpu, weight: &[f32], mirrored: &mut [f32]) {
    let &Conv2d { in_channels, out_channels, .. } = conv;
    let (tap, rows) = (in_channels * out_channels, Cut::new(out_channels, MIRRORED_ROWS, 1));
    let mirrored = Parts::new(mirrored);
    cpu.threads.run(9 * rows.parts, &|task| {
        let (from, rows) = (task / rows.parts, rows.part(task % rows.parts));
        let matrix = &weight[from * tap + rows.start..(from + 1) * tap];
        let start = (8 - from) * tap + rows.start * in_channels;
        // SAFETY: every task has rows of its own.
        let to = unsafe { mirrored.part(start..start + rows.len() * in_channels) };
        let panel = Panel { columns: 0..in_channels, width: in_channels };
        let source = Source { matrix, stride: out_channels, transposed: true };
        pack(cpu.isa, source, rows.len(), std::iter::once(panel), to);
    });
}

/// `U = G g G^T` for some channels of the input and the output: matrices `[inputs, outputs]`.
struct Weights<'a> {
    conv: &'a Conv2d,
    weight: &'a [f32],
    inputs: Range<usize>,
    outputs: Range<usize>,
    to: &'a mut [f32],
    layout: Layout,
}

impl Vectorised for Weights<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { conv, weight, inputs, outputs, to, layout } = self;
        let tap = conv.in_channels * conv.out_channels;
        assert!(9 * tap <= weight.len() && inputs.end <= conv.in_channels);
        assert!(outputs.end <= conv.out_channels && layout.holds(to, inputs.len(), outputs.len()));
        for (row, channel) in inputs.enumerate() {
            for column in (0..outputs.len()).step_by(LANES) {
                let from = weight[channel * conv.out_channels + outputs.start + column..].as_ptr();
                for next in 0..9 {
                    prefetch(from.wrapping_add(next * tap + conv.out_channels));
                }
                let to = layout.vectors_mut(to, row, column);
                let length = outputs.len() - column;
                if length >= LANES {
                    // SAFETY: the weight has 9 taps of all channels (asserted above).
                    let from = unsafe { Grid::<true>::new(from, 3 * tap, tap, length) };
                    transform(s, WeightTransform, &from, &to);
                } else {
                    // SAFETY: as above.
                    let from = unsafe { Grid::<false>::new(from, 3 * tap, tap, length) };
                    transform(s, WeightTransform, &from, &to);
                }
            }
        }
    }
}

/// `y = A^T M A + bias` for some tiles and channels.
struct Outputs<'a> {
    conv: &'a Conv2d,
    tiles: Tiles,
    block: Range<usize>,
    channels: Range<usize>,
    from: &'a [f32],
    layout: Layout,
    bias: Option<&'a [f32]>,
    y: &'a Parts<'a, f32>,
}

impl<'a> Outputs<'a> {
    /// # Safety
    /// Nobody else may touch these tiles and channels.
    unsafe fn new(
        conv: &'a Conv2d,
        tiles: Tiles,
        block: Range<usize>,
        channels: Range<usize>,
        from: &'a [f32],
        layout: Layout,
        bias: Option<&'a [f32]>,
        y: &'a Parts<'a, f32>,
    ) -> Self {
        Self { conv, tiles, block, channels, from, layout, bias, y }
    }
}

impl Vectorised for Outputs<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { conv, tiles, block, channels, from, layout, bias, y } = self;
        let (height, width) = (conv.out_height(), conv.out_width());
        assert!(block.end <= tiles.count && channels.end <= conv.out_channels);
        assert!(layout.holds(from, block.len(), channels.len()));
        let pixel = |tile: Tile| (tile.image * height + tile.row) * width + tile.column;
        let mut tile = tiles.at(block.start);
        for index in 0..block.len() {
            let next = tiles.next(tile);
            let (rows, columns) = ((height - tile.row).min(TILE), (width - tile.column).min(TILE));
            for channel in (0..channels.len()).step_by(LANES) {
                let length = (channels.len() - channel).min(LANES);
                let channel_of_y = channels.start + channel;
                let last = ((rows - 1) * width + columns - 1) * conv.out_channels + length;
                let start = pixel(tile) * conv.out_channels + channel_of_y;
                // SAFETY: these pixels and channels are ours (the promise of `new`).
                let start = unsafe { y.pointer(start, last) };
                let near =
                    start.wrapping_add(pixel(next).wrapping_sub(pixel(tile)).wrapping_mul(conv.out_channels));
                for i in 0..TILE {
                    for j in 0..TILE {
                        prefetch(near.wrapping_add((i * width + j) * conv.out_channels));
                    }
                }
                let offset = match bias {
                    Some(bias) => s.load_partial(&bias[channel_of_y..channel_of_y + length]),
                    None => s.splat(0.0),
                };
                let from = layout.vectors(from, index, channel);
                let (distances, exist) = ((width * conv.out_channels, conv.out_channels), (rows, columns));
                // SAFETY: y has these pixels and these channels (checked above), and they are ours.
                unsafe {
                    if length == LANES {
                        let to = GridMut::<S, true>::new(start, distances, exist, length, offset);
                        transform(s, OutputTransform, &from, &to);
                    } else {
                        let to = GridMut::<S, false>::new(start, distances, exist, length, offset);
                        transform(s, OutputTransform, &from, &to);
                    }
                }
            }
            tile = next;
        }
    }
}
