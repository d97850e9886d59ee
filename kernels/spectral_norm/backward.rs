//! The gradient with respect to the weight.

use super::products::Dot;
use super::{TREE, row_products};
use crate::kernel::SCRATCH;
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// `dW = (dnormalised - c u vᵀ) / sigma` with `c = Σ dnormalised ∘ normalised`, and u, v and sigma as the forward pass
/// left them.
///
/// Buffers: dnormalised `[out, in]`, normalised `[out, in]`, u `[out]`, v `[in]`, sigma `[1]`, dweight `[out, in]`.
#[derive(Clone, Copy, Debug)]
pub struct SpectralNormBackward {
    /// Rows of the weight.
    pub outputs: usize,
    /// Columns of the weight.
    pub inputs: usize,
}

impl Kernel for SpectralNormBackward {
    fn name(&self) -> &'static str {
        "spectral_norm/backward"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.outputs, self.inputs)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.outputs, self.inputs]);
        vec![
            Binding::read("dnormalised", all),
            Binding::read("normalised", all),
            Binding::read("u", self.outputs),
            Binding::read("v", self.inputs),
            Binding::read("sigma", 1),
            Binding::write("dweight", all),
        ]
    }
    /// One pass for the sum, one for the gradient.
    fn cost(&self) -> Cost {
        let all = (self.outputs * self.inputs) as u64;
        Cost { flops: 5 * all, bytes: 16 * all }
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        self.outputs
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        self.outputs
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let backward = Dispatch {
            label: "spectral_norm/backward".into(),
            source: [TREE, include_str!("backward.wgsl")].concat().into(),
            constants: Vec::new(),
            bindings: vec![(0, Read), (SCRATCH, Read), (2, Read), (3, Read), (4, Read), (5, ReadWrite)],
            immediates: vec![self.outputs as u32, self.inputs as u32],
            clock: false,
            grid: [self.outputs.min(65_535) as u32, 1, 1],
            windows: Vec::new(),
        };
        vec![row_products([self.outputs, self.inputs], self.inputs, [0, 1]), backward]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let inputs = self.inputs;
        let ([dnormalised, normalised, u, v, sigma, dweight], scratch) = args.split();
        let (dnormalised, normalised) = (dnormalised.f32(), normalised.f32());
        let (u, v, sigma) = (u.f32(), v.f32(), sigma.f32()[0]);
        let sums: &mut [f32] = bytemuck::cast_slice_mut(scratch);
        let parts = Parts::new(sums);
        cpu.over_rows(self.outputs, inputs, |part| {
            // SAFETY: every row belongs to one task.
            let sums = unsafe { parts.part(part.clone()) };
            for (sum, row) in sums.iter_mut().zip(part) {
                let row = row * inputs..(row + 1) * inputs;
                *sum = cpu.isa.run(Dot { a: &dnormalised[row.clone()], b: &normalised[row] });
            }
        });
        let c = sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() as f32;
        let dweight = Parts::new(dweight.f32_mut());
        cpu.over_rows(self.outputs, inputs, |part| {
            for row in part {
                let all = row * inputs..(row + 1) * inputs;
                // SAFETY: every row belongs to one task.
                let to = unsafe { dweight.part(all.clone()) };
                let factor = c * u[row];
                for ((to, &gradient), &v) in to.iter_mut().zip(&dnormalised[all]).zip(v) {
                    *to = (gradient - factor * v) / sigma;
                }
            }
        });
    }
}
