//! `M[ξ] = V[ξ] U[ξ]`: the forward pass, and the gradient of x as a forward pass over dy.

use super::frequencies::{Layout, Product, Vectors};
use super::transforms::{Grid, GridMut, OutputTransform, TILE, WeightTransform, transform};
use super::windows::{Block, Images, Inputs};
use super::{CHANNELS, Cut, TILES, Tiles, aligned, run_units};
use crate::Cpu;
use crate::conv2d::Conv2d;
use crate::matmul::pack::{Panel, Source, pack};
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, Ordering};

/// How the products are cut.
#[derive(Debug)]
struct Plan {
    tiles: Tiles,
    /// Tiles, T.
    blocks: Cut,
    /// Channels of the input, the length of the sums.
    depths: Cut,
    /// Channels of the output.
    slabs: Cut,
    v: Layout,
    u: Layout,
    m: Layout,
}

impl Plan {
    fn new(conv: &Conv2d) -> Self {
        let tiles = Tiles::new(conv);
        let blocks = Cut::new(tiles.count, TILES, 1);
        let depths = Cut::new(conv.in_channels, CHANNELS, LANES);
        let slabs = Cut::new(conv.out_channels, CHANNELS, LANES);
        let (block, depth, slab) = (blocks.longest(), depths.longest(), slabs.longest());
        let (v, u, m) = (Layout::new(block, depth), Layout::new(depth, slab), Layout::new(block, slab));
        Self { tiles, blocks, depths, slabs, v, u, m }
    }
    fn units(&self) -> usize {
        self.blocks.parts * self.slabs.parts
    }
    /// Scratch of a unit.
    fn words(&self) -> usize {
        self.v.words() + self.u.words() + self.m.words()
    }
}

/// Floats of scratch memory, with room to align it.
pub(in super::super) fn forward_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    let plan = Plan::new(conv);
    plan.words() * cpu.threads.count().min(plan.units()) + LANES
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
    // The stages below take pointers: these lengths are all that they rely on.
    assert!(x.len() == conv.x_len() && weight.len() == conv.weight_len() && y.len() == conv.y_len());
    assert!(bias.is_none_or(|bias| bias.len() == conv.out_channels) && conv.kernel == 3 && conv.stride == 1);
    let plan = Plan::new(conv);
    let Plan { tiles, blocks, depths, slabs, v, u, m } = plan;
    let &Conv2d { height, width, in_channels, padding, .. } = conv;
    let images = Images { pixels: x, height, width, channels: in_channels, padding, tiles };
    let y = AtomicPtr::new(y.as_mut_ptr());
    run_units(cpu, plan.units(), aligned(scratch), plan.words(), &|unit, scratch| {
        let (block, slab) = (blocks.part(unit / slabs.parts), slabs.part(unit % slabs.parts));
        let (v_words, rest) = scratch.split_at_mut(v.words());
        let (u_words, m_words) = rest.split_at_mut(u.words());
        for index in 0..depths.parts {
            let depth = depths.part(index);
            let (tiles, channels) = (block.clone(), depth.clone());
            cpu.isa.run(Inputs(Block { images, tiles, channels, to: v_words, layout: v }));
            cpu.isa.run(Weights {
                conv,
                weight,
                inputs: depth.clone(),
                outputs: slab.clone(),
                to: u_words,
                layout: u,
            });
            let (m_size, n, k) = (block.len(), slab.len(), depth.len());
            Product { m: m_size, n, k, a_transposed: false, first: index == 0 }.run(
                cpu.isa,
                (v_words, v),
                (u_words, u),
                (m_words, m),
            );
        }
        let y = y.load(Ordering::Relaxed);
        // SAFETY: y has all pixels (asserted above), and units run once and cover different tiles or channels.
        cpu.isa.run(unsafe { Outputs::new(conv, tiles, block, slab, m_words, m, bias, y) });
    });
}

/// The convolution whose forward pass over dy is the gradient of x.
fn backward(conv: &Conv2d) -> Conv2d {
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
        assert!(outputs.end <= conv.out_channels && outputs.len() <= layout.row);
        assert!(inputs.len() * layout.row <= layout.plane && layout.words() <= to.len());
        for (row, channel) in inputs.enumerate() {
            for column in (0..outputs.len()).step_by(LANES) {
                let from = weight[channel * conv.out_channels + outputs.start + column..].as_ptr();
                // SAFETY: the first matrix has this row, and whole vectors of columns (asserted above).
                let to = unsafe { Vectors::new(to[row * layout.row + column..].as_mut_ptr(), layout) };
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
    y: *mut f32,
}

impl<'a> Outputs<'a> {
    /// # Safety
    /// `y` is the whole output of this convolution, and nobody else may touch these tiles and channels.
    unsafe fn new(
        conv: &'a Conv2d,
        tiles: Tiles,
        block: Range<usize>,
        channels: Range<usize>,
        from: &'a [f32],
        layout: Layout,
        bias: Option<&'a [f32]>,
        y: *mut f32,
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
        assert!(
            block.end <= tiles.count && channels.end <= conv.out_channels && channels.len() <= layout.row
        );
        assert!(block.len() * layout.row <= layout.plane && layout.words() <= from.len());
        for (index, tile) in block.enumerate() {
            let (image, row, column) = tiles.at(tile);
            let (rows, columns) = ((height - row).min(TILE), (width - column).min(TILE));
            let pixel = (image * height + row) * width + column;
            for channel in (0..channels.len()).step_by(LANES) {
                let length = (channels.len() - channel).min(LANES);
                let channel_of_y = channels.start + channel;
                let offset = match bias {
                    Some(bias) => s.load_partial(&bias[channel_of_y..channel_of_y + length]),
                    None => s.splat(0.0),
                };
                // SAFETY: the first matrix has this row, and whole vectors of columns (asserted above).
                let from = unsafe { layout.vectors(from[index * layout.row + channel..].as_ptr()) };
                let start = y.wrapping_add(pixel * conv.out_channels + channel_of_y);
                let (distances, exist) = ((width * conv.out_channels, conv.out_channels), (rows, columns));
                // SAFETY: y has these pixels and these channels, and they are ours.
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
        }
    }
}
