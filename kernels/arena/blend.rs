//! Blending, copying and filling ranges of arenas.

use super::{CHUNK, over_vectors};
use crate::Cpu;
use crate::kernel::{Args, Binding, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::simd::{Simd, Vectorised};

/// `target = keep * target + (1 - keep) * source`, both `[len]`.
///
/// With `keep` near 1 the target is an exponential moving average (the tortoise); with noise or initial weights as the
/// source it is shrink & perturb (Ash and Adams 2020) or a pull towards the initialisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Blend {
    /// Number of floats.
    pub len: usize,
    /// Share of the target that remains. `1 - keep` is computed in f64.
    pub keep: f64,
}

impl Kernel for Blend {
    fn name(&self) -> &'static str {
        "arena/blend"
    }

    fn shape(&self) -> String {
        format!("{} keep {}", self.len, self.keep)
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read_write("target", self.len), Binding::read("source", self.len)]
    }

    fn cost(&self) -> Cost {
        Cost { flops: 3 * self.len as u64, bytes: 12 * self.len as u64 }
    }

    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let parameters = [self.keep as f32, (1.0 - self.keep) as f32];
        over_vectors(self, include_str!("blend.wgsl").into(), &parameters, false, gpu)
    }

    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([target, source], _) = args.split();
        blend(cpu, self.keep as f32, (1.0 - self.keep) as f32, target.f32_mut(), source.f32());
    }
}

/// `target = source`, both `[len]`, bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// Number of words.
    pub len: usize,
}

impl Kernel for Copy {
    fn name(&self) -> &'static str {
        "arena/copy"
    }

    fn shape(&self) -> String {
        self.len.to_string()
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::write("target", self.len), Binding::read("source", self.len)]
    }

    fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: 8 * self.len as u64 }
    }

    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        over_vectors(self, include_str!("copy.wgsl").into(), &[], false, gpu)
    }

    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([target, source], _) = args.split();
        let source = source.u32();
        cpu.threads.chunks_mut(target.u32_mut(), CHUNK, &|index, part| {
            let start = index * CHUNK;
            part.copy_from_slice(&source[start..start + part.len()]);
        });
    }
}

/// `target = value` in all `[len]` floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    /// Number of floats.
    pub len: usize,
    /// What every float becomes.
    pub value: f32,
}

impl Kernel for Fill {
    fn name(&self) -> &'static str {
        "arena/fill"
    }

    fn shape(&self) -> String {
        format!("{} value {}", self.len, self.value)
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::write("target", self.len)]
    }

    fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: 4 * self.len as u64 }
    }

    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        over_vectors(self, include_str!("fill.wgsl").into(), &[self.value], false, gpu)
    }

    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([target], _) = args.split();
        cpu.threads.chunks_mut(target.f32_mut(), CHUNK, &|_, part| part.fill(self.value));
    }
}

struct BlendChunk<'a> {
    target: &'a mut [f32],
    source: &'a [f32],
    keep: f32,
    one_minus_keep: f32,
}

impl Vectorised for BlendChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (keep, one_minus_keep) = (s.splat(self.keep), s.splat(self.one_minus_keep));
        let (target, target_tail) = self.target.as_chunks_mut::<16>();
        let (source, source_tail) = self.source.as_chunks::<16>();
        for (t, v) in target.iter_mut().zip(source) {
            s.store(t, s.fma(keep, s.load(t), s.mul(one_minus_keep, s.load(v))));
        }
        let (old, v) = (s.load_partial(target_tail), s.load_partial(source_tail));
        s.store_partial(target_tail, s.fma(keep, old, s.mul(one_minus_keep, v)));
    }
}

/// `target = keep * target + one_minus_keep * source`.
fn blend(cpu: &Cpu, keep: f32, one_minus_keep: f32, target: &mut [f32], source: &[f32]) {
    cpu.threads.chunks_mut(target, CHUNK, &|index, target| {
        let source = &source[index * CHUNK..][..target.len()];
        cpu.isa.run(BlendChunk { target, source, keep, one_minus_keep });
    });
}
