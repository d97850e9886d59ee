//! Shrinking parameters and adding fresh ones that are drawn where they are needed.

use super::CHUNK;
use crate::Cpu;
use crate::kernel::{ALIGNMENT, Access, Args, Binding, CLOCK_WGSL, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::math::{self, normals};
use crate::random::{self, stream};
use crate::simd::{DRAWN, LANES, Simd, Vectorised};
use crate::size::words;
use crate::template::expand;
use crate::windows::in_windows;
use std::fmt::Display;

/// Floats that one [`Fresh`] describes: the alignment of the tensors of an arena, so that no block has two of them.
pub const BLOCK: usize = ALIGNMENT;

/// How the fresh values of a block of [`BLOCK`] floats are distributed: `center + width * u + deviation * n`, u uniform in
/// [-1, 1) and n normal.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Fresh {
    /// Mean.
    pub center: f32,
    /// Half of the width of the uniform part.
    pub width: f32,
    /// Standard deviation of the normal part.
    pub deviation: f32,
    /// Floats of the block that are drawn, from its first; the others are padding, which stays.
    pub used: f32,
}

/// Words of a [`Fresh`].
const FRESH_WORDS: usize = size_of::<Fresh>() / 4;

/// Shrink & perturb with fresh values (Ash and Adams 2020), over a whole arena:
///
/// ```text
/// target = keep * target + scale * fresh
/// ```
///
/// The fresh values follow `table`, one [`Fresh`] per [`BLOCK`] floats. They are counted, not drawn in sequence: float i
/// takes word i % 4 of `pcg4d(i / 4, clock.step, PERTURB, clock.seed)` for its uniform part, and words 0 and 1, or 2 and
/// 3, for its normal one (`normals` of math.rs: the upper 24 bits of each). So every step has a draw of its own, nothing
/// is uploaded, and a resume repeats it. Shapes: target `[64 * blocks]`, table `[4 * blocks]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Perturb {
    /// Blocks of the arena.
    pub blocks: usize,
    /// Share of the target that remains.
    pub keep: f64,
    /// Factor of the fresh values.
    pub scale: f64,
}

impl Kernel for Perturb {
    fn name(&self) -> &'static str {
        "arena/perturb"
    }

    fn shape(&self) -> String {
        format!("{} keep {} scale {}", words([BLOCK, self.blocks]), self.keep, self.scale)
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read_write("target", words([BLOCK, self.blocks])),
            Binding::read("table", words([FRESH_WORDS, self.blocks])),
        ]
    }

    fn cost(&self) -> Cost {
        let len = (BLOCK * self.blocks) as u64;
        Cost { flops: 6 * len, bytes: 8 * len + (4 * FRESH_WORDS * self.blocks) as u64 }
    }

    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let factors = [self.keep as f32, self.scale as f32].map(f32::to_bits);
        let values: [(&str, &dyn Display); 2] = [("STREAM", &stream::PERTURB), ("VECTORS", &(BLOCK / 4))];
        let main = expand(include_str!("perturb.wgsl"), &values);
        let source = [CLOCK_WGSL, &random::wgsl(), math::WGSL, &main].concat();
        in_windows(self.blocks, &[(0, BLOCK), (1, FRESH_WORDS)], gpu, |blocks| {
            vec![Dispatch {
                label: self.name().into(),
                source: source.clone().into(),
                constants: Vec::new(),
                bindings: vec![(0, Access::ReadWrite), (1, Access::Read)],
                immediates: vec![blocks.len() as u32, blocks.start as u32, factors[0], factors[1]],
                clock: true,
                grid: crate::elementwise::grid(BLOCK * blocks.len()),
                windows: Vec::new(),
            }]
        })
    }

    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([target, table], _) = args.split();
        perturb(self, cpu, clock, target.f32_mut(), bytemuck::cast_slice(table.u32()));
    }
}

/// Blocks of a [`Perturb`].
struct PerturbChunk<'a> {
    kernel: &'a Perturb,
    clock: &'a Clock,
    /// The first block.
    first: usize,
    target: &'a mut [f32],
    table: &'a [Fresh],
}

/// Blocks whose numbers are drawn together.
const BLOCKS: usize = DRAWN / BLOCK;

impl Vectorised for PerturbChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factors = (s.splat(self.kernel.keep as f32), self.kernel.scale as f32);
        let blocks = self.target.as_chunks_mut::<BLOCK>().0.chunks_mut(BLOCKS);
        for (index, (blocks, table)) in blocks.zip(self.table.chunks(BLOCKS)).enumerate() {
            let counter = ((self.first + index * BLOCKS) * BLOCK / 4) as u32;
            let numbers = s.random(counter, [self.clock.step, stream::PERTURB, self.clock.seed]);
            let numbers = numbers.as_chunks::<{ BLOCK / LANES }>().0;
            for ((block, fresh), numbers) in blocks.iter_mut().zip(table).zip(numbers) {
                perturb_block(s, block, fresh, *numbers, factors);
            }
        }
    }
}

/// `target = keep * target + scale * fresh` for one block and its random integers.
#[inline(always)]
fn perturb_block<S: Simd>(
    s: S,
    target: &mut [f32; BLOCK],
    fresh: &Fresh,
    numbers: [S::V; BLOCK / LANES],
    (keep, scale): (S::V, f32),
) {
    // center + width (2 number / 2^24 - 1), times the scale
    let (width, lowest) = (s.splat(fresh.width / 8_388_608.0), s.splat(fresh.center - fresh.width));
    let value = |number| s.mul(s.splat(scale), s.fma(width, number, lowest));
    if fresh.deviation == 0.0 && fresh.used == BLOCK as f32 {
        for (target, number) in target.as_chunks_mut::<LANES>().0.iter_mut().zip(numbers) {
            let blended = s.fma(keep, s.load(target), value(number));
            s.store(target, blended);
        }
        return;
    }
    let mut values = numbers.map(|number| s.lanes(value(number)));
    if fresh.deviation != 0.0 {
        let factor = scale * fresh.deviation;
        let numbers = numbers.map(|numbers| s.lanes(numbers).map(|number| number as u32));
        let pairs = numbers.as_flattened().as_chunks::<2>().0;
        for (values, &pair) in values.as_flattened_mut().as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
            let normals = normals(pair);
            values[0] += factor * normals[0];
            values[1] += factor * normals[1];
        }
    }
    let used = (fresh.used as usize).min(BLOCK);
    for (target, values) in target[..used].chunks_mut(LANES).zip(&values) {
        let blended = s.fma(keep, s.load_partial(target), s.load(values));
        s.store_partial(target, blended);
    }
}

/// `target = keep * target + scale * fresh`.
fn perturb(kernel: &Perturb, cpu: &Cpu, clock: &Clock, target: &mut [f32], table: &[Fresh]) {
    cpu.threads.chunks_mut(target, CHUNK, &|index, target| {
        let first = index * CHUNK / BLOCK;
        let table = &table[first..first + target.len() / BLOCK];
        cpu.isa.run(PerturbChunk { kernel, clock, first, target, table });
    });
}
