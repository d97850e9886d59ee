//! `dU[ξ] = V[ξ]^T Z[ξ]`: the gradient of the weight.

use super::frequencies::{Layout, MATRIX, Product, WORDS};
use super::transforms::{GridMut, WeightGradientTransform, transform};
use super::windows::{Block, Images, Inputs, OutputGradients};
use super::{CHANNELS, Cut, Tiles};
use crate::Cpu;
use crate::conv2d::Conv2d;
use crate::cpu::aligned;
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;
use std::ops::Range;

/// Units that keep threads busy: if the channels give fewer, the sums over the tiles are cut too,
const UNITS: usize = 32;
/// but not into partial sums of fewer blocks of tiles, for each of which dU has to be transformed back.
const BLOCKS_PER_PARTIAL: usize = 4;

/// Scratch of a unit: V, Z and dU.
const UNIT_WORDS: usize = 3 * WORDS;

/// How the products are cut. Nothing here depends on the number of threads.
#[derive(Debug)]
struct Plan {
    tiles: Tiles,
    /// Tiles, the length of the sums.
    blocks: Cut,
    /// The blocks of each partial sum.
    partials: Cut,
    inputs: Cut,
    outputs: Cut,
    v: Layout,
    z: Layout,
    du: Layout,
}

impl Plan {
    fn new(conv: &Conv2d) -> Self {
        let tiles = Tiles::new(conv);
        let inputs = Cut::new(conv.in_channels, CHANNELS, LANES);
        let outputs = Cut::new(conv.out_channels, CHANNELS, LANES);
        let (v, z, du) = (inputs.longest(), outputs.longest(), outputs.longest());
        let blocks = Cut::new(tiles.count, MATRIX / v.max(z), 1);
        let wanted = UNITS.div_ceil(inputs.parts * outputs.parts);
        let partials = Cut::new(blocks.parts, BLOCKS_PER_PARTIAL.max(blocks.parts.div_ceil(wanted)), 1);
        let (v, z, du) = (Layout::new(v), Layout::new(z), Layout::new(du));
        Self { tiles, blocks, partials, inputs, outputs, v, z, du }
    }
    fn units(&self) -> usize {
        self.partials.parts * self.inputs.parts * self.outputs.parts
    }
    /// Threads with a unit.
    fn slots(&self, cpu: &Cpu) -> usize {
        cpu.threads.count().min(self.units())
    }
    /// Floats of all partial sums. The only one is dweight itself.
    fn partial_words(&self, conv: &Conv2d) -> usize {
        if self.partials.parts == 1 { 0 } else { self.partials.parts * conv.weight_len() }
    }
}

/// Floats of scratch memory, with room to align it.
pub(in super::super) fn backward_weight_scratch(conv: &Conv2d, cpu: &Cpu) -> usize {
    let plan = Plan::new(conv);
    plan.partial_words(conv) + UNIT_WORDS * plan.slots(cpu) + LANES
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
    assert!(conv.kernel == 3 && conv.stride == 1);
    let plan = Plan::new(conv);
    let (partials, scratch) = scratch.split_at_mut(plan.partial_words(conv));
    let sums = if partials.is_empty() { &mut *dweight } else { &mut *partials };
    partial_sums(&plan, conv, cpu, x, dy, sums, aligned(scratch));
    if !partials.is_empty() {
        add_up(cpu, partials, dweight);
    }
}

/// Fills `sums`, of shape `[partials, 3, 3, C, O]`.
fn partial_sums(
    plan: &Plan,
    conv: &Conv2d,
    cpu: &Cpu,
    x: &[f32],
    dy: &[f32],
    sums: &mut [f32],
    scratch: &mut [f32],
) {
    let &Plan { tiles, blocks, partials, inputs, outputs, v, z, du } = plan;
    let &Conv2d { height, width, in_channels, out_channels, padding, .. } = conv;
    let x = Images { pixels: x, height, width, channels: in_channels, padding, tiles };
    let (height, width) = (conv.out_height(), conv.out_width());
    let dy = Images { pixels: dy, height, width, channels: out_channels, padding: 0, tiles };
    assert!(sums.len() == partials.parts * conv.weight_len());
    let sums = Parts::new(sums);
    let (units, slots) = (plan.units(), plan.slots(cpu));
    cpu.threads.with_memory(slots, units, &mut scratch[..slots * UNIT_WORDS], &|unit, scratch| {
        let (rest, output) = (unit / outputs.parts, unit % outputs.parts);
        let (partial, input) = (rest / inputs.parts, rest % inputs.parts);
        let (input, output) = (inputs.part(input), outputs.part(output));
        let (v_words, rest) = scratch.split_at_mut(WORDS);
        let (z_words, du_words) = rest.split_at_mut(WORDS);
        let range = partials.part(partial);
        for block in range.clone() {
            let first = block == range.start;
            let block = blocks.part(block);
            let k = block.len();
            let (tiles, channels) = (block.clone(), input.clone());
            cpu.isa.run(Inputs(Block { images: x, tiles, channels, to: v_words, layout: v }));
            let (tiles, channels) = (block, output.clone());
            cpu.isa.run(OutputGradients(Block { images: dy, tiles, channels, to: z_words, layout: z }));
            Product { m: input.len(), n: output.len(), k, a_transposed: true, first }.run(
                cpu.isa,
                (v_words, v),
                (z_words, z),
                (du_words, du),
            );
        }
        // SAFETY: units run once and cover different channels of a partial sum.
        let gradients = unsafe {
            let to = sums.pointer(partial * conv.weight_len(), conv.weight_len());
            WeightGradients::new(conv, input, output, du_words, du, to)
        };
        cpu.isa.run(gradients);
    });
}

/// `dweight = G^T dU G` for some channels of the input and the output.
struct WeightGradients<'a> {
    conv: &'a Conv2d,
    inputs: Range<usize>,
    outputs: Range<usize>,
    from: &'a [f32],
    layout: Layout,
    to: *mut f32,
}

impl<'a> WeightGradients<'a> {
    /// # Safety
    /// `to` is a gradient of the weight of this convolution, and nobody else may touch these channels.
    unsafe fn new(
        conv: &'a Conv2d,
        inputs: Range<usize>,
        outputs: Range<usize>,
        from: &'a [f32],
        layout: Layout,
        to: *mut f32,
    ) -> Self {
        Self { conv, inputs, outputs, from, layout, to }
    }
}

impl Vectorised for WeightGradients<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { conv, inputs, outputs, from, layout, to } = self;
        let tap = conv.in_channels * conv.out_channels;
        assert!(inputs.end <= conv.in_channels && outputs.end <= conv.out_channels);
        assert!(layout.holds(from, inputs.len(), outputs.len()));
        for (row, channel) in inputs.enumerate() {
            for column in (0..outputs.len()).step_by(LANES) {
                let from = layout.vectors(from, row, column);
                let start = to.wrapping_add(channel * conv.out_channels + outputs.start + column);
                let (length, zero) = (outputs.len() - column, s.splat(0.0));
                // SAFETY: the gradient has 9 taps of all channels, and these channels are ours.
                unsafe {
                    if length >= LANES {
                        let to = GridMut::<S, true>::new(start, (3 * tap, tap), (3, 3), length, zero);
                        transform(s, WeightGradientTransform, &from, &to);
                    } else {
                        let to = GridMut::<S, false>::new(start, (3 * tap, tap), (3, 3), length, zero);
                        transform(s, WeightGradientTransform, &from, &to);
                    }
                }
            }
        }
    }
}

/// Floats of dweight that one task adds up.
const CHUNK: usize = 4096;

/// Sums the partial sums in their order.
fn add_up(cpu: &Cpu, partials: &[f32], dweight: &mut [f32]) {
    let length = dweight.len();
    cpu.threads.chunks_mut(dweight, CHUNK, &|index, sums| {
        let (start, end) = (index * CHUNK, index * CHUNK + sums.len());
        let (first, rest) = partials.split_at(length);
        sums.copy_from_slice(&first[start..end]);
        for partial in rest.chunks_exact(length) {
            for (sum, &value) in sums.iter_mut().zip(&partial[start..end]) {
                *sum += value;
            }
        }
    });
}
