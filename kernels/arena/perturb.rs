//! Shrinking parameters and adding fresh ones that are drawn where they are needed.

use super::cpu;
use crate::kernel::{ALIGNMENT, Access, Args, Binding, CLOCK_WGSL, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::random::{self, stream};
use crate::template::expand;
use crate::windows::in_windows;
use crate::{Cpu, math};
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
        format!("{} keep {} scale {}", BLOCK * self.blocks, self.keep, self.scale)
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read_write("target", BLOCK * self.blocks),
            Binding::read("table", FRESH_WORDS * self.blocks),
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

    fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([target, table], _) = args.split();
        cpu::perturb(self, cpu, clock, target.f32_mut(), bytemuck::cast_slice(table.u32()));
    }
}
