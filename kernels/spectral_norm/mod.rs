//! Spectral normalisation (Miyato and others 2018): a matrix divided by its largest singular value, which one step of
//! power iteration per use keeps track of.
//!
//! For a weight W `[out, in]` and an estimate u `[out]` of its first left singular vector, of length 1 at the start:
//!
//! ```text
//! v = Wᵀu / |Wᵀu|        u = W v / |W v|        one step of the iteration
//! sigma      = uᵀ W v
//! normalised = W / sigma
//! dW         = (dnormalised - c u vᵀ) / sigma        c = Σ dnormalised ∘ normalised
//! ```
//!
//! as in PyTorch's `spectral_norm`: the vectors count as constants in the gradient, and lengths below 1e-12 as 1e-12.
//! They are state: a network that is trained iterates, one that acts or is evaluated uses them as they are.

mod backward;
mod cases;
mod products;

pub use backward::SpectralNormBackward;
pub use cases::cases;

use crate::kernel::SCRATCH;
use crate::size::words;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// The least length of a vector that it is divided by.
const EPSILON: f32 = 1e-12;
/// WGSL text of `sum_of_workgroup`, for 256 threads.
const TREE: &str = include_str!("../arena/tree.wgsl");

/// The launch that writes the scalar products of the rows of two buffers `[outputs, inputs]` to the scratch memory. `b_row`
/// is `inputs`, or 0 if the second buffer is one vector for all rows.
fn row_products([outputs, inputs]: [usize; 2], b_row: usize, [a, b]: [usize; 2]) -> Dispatch {
    Dispatch {
        label: "spectral_norm/row_products".into(),
        source: [TREE, include_str!("row_products.wgsl")].concat().into(),
        constants: Vec::new(),
        bindings: vec![(a, Access::Read), (b, Access::Read), (SCRATCH, Access::ReadWrite)],
        immediates: [outputs, inputs, b_row].map(|n| n as u32).to_vec(),
        clock: false,
        grid: [outputs.min(65_535) as u32, 1, 1],
        windows: Vec::new(),
    }
}

/// The normalised weight, and the singular value that it was divided by.
///
/// Buffers: weight `[out, in]`, u `[out]` and v `[in]`, normalised `[out, in]`, sigma `[1]`. Iterating, u is updated in
/// place and v is written; else both are only read. A NaN in the weight makes sigma and the normalised weight NaN.
#[derive(Clone, Copy, Debug)]
pub struct SpectralNorm {
    /// Rows of the weight.
    pub outputs: usize,
    /// Columns of the weight.
    pub inputs: usize,
    /// Whether a step of the iteration comes first.
    pub iterate: bool,
}

impl Kernel for SpectralNorm {
    fn name(&self) -> &'static str {
        "spectral_norm/forward"
    }
    fn shape(&self) -> String {
        format!("{}x{}{}", self.outputs, self.inputs, if self.iterate { " iterating" } else { "" })
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.outputs, self.inputs]);
        let (u, v) = if self.iterate {
            (Binding::read_write("u", self.outputs), Binding::write("v", self.inputs))
        } else {
            (Binding::read("u", self.outputs), Binding::read("v", self.inputs))
        };
        vec![
            Binding::read("weight", all),
            u,
            v,
            Binding::write("normalised", all),
            Binding::write("sigma", 1),
        ]
    }
    /// One pass over the weight for every product, and one to divide it.
    fn cost(&self) -> Cost {
        let (all, products) = ((self.outputs * self.inputs) as u64, 1 + u64::from(self.iterate));
        Cost { flops: (2 * products + 1) * all, bytes: 4 * (products + 2) * all }
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        self.outputs
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        self.outputs
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let launch =
            |label: &'static str, source: String, bindings: &[(usize, Access)], groups: usize| Dispatch {
                label: label.into(),
                source: source.into(),
                constants: Vec::new(),
                bindings: bindings.to_vec(),
                immediates: vec![self.outputs as u32, self.inputs as u32, EPSILON.to_bits()],
                clock: false,
                grid: [groups.min(65_535) as u32, 1, 1],
                windows: Vec::new(),
            };
        let sigma = crate::template::expand(include_str!("sigma.wgsl"), &[("ITERATE", &self.iterate)]);
        let u = if self.iterate { ReadWrite } else { Read };
        let mut dispatches = Vec::new();
        if self.iterate {
            let transposed = include_str!("transposed_product.wgsl").to_string();
            let groups = self.inputs.div_ceil(64);
            dispatches.push(launch(
                "spectral_norm/transposed_product",
                transposed,
                // u is only read; a runtime that tracks whole buffers wants it bound as v is, beside which it may lie.
                &[(0, Read), (1, ReadWrite), (2, ReadWrite)],
                groups,
            ));
            let unit = [TREE, include_str!("unit.wgsl")].concat();
            dispatches.push(launch("spectral_norm/unit", unit, &[(2, ReadWrite)], 1));
        }
        dispatches.extend([
            row_products([self.outputs, self.inputs], 0, [0, 2]),
            launch(
                "spectral_norm/sigma",
                [TREE, &sigma].concat(),
                &[(SCRATCH, Read), (1, u), (4, ReadWrite)],
                1,
            ),
            launch(
                "spectral_norm/divide",
                include_str!("divide.wgsl").to_string(),
                &[(0, Read), (4, Read), (3, ReadWrite)],
                (self.outputs * self.inputs).div_ceil(64),
            ),
        ]);
        dispatches
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([weight, u, v, normalised, sigma], scratch) = args.split();
        let weight = weight.f32();
        let product: &mut [f32] = bytemuck::cast_slice_mut(scratch);
        if self.iterate {
            products::transposed(cpu, weight, u.f32(), v.f32_mut());
            products::unit(v.f32_mut());
        }
        products::rows(cpu, weight, v.f32(), product);
        let largest = if self.iterate {
            let length = products::unit(product);
            u.f32_mut().copy_from_slice(product);
            length
        } else {
            product.iter().zip(u.f32()).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
        };
        sigma.f32_mut()[0] = largest;
        products::divided(cpu, self.inputs, weight, largest, normalised.f32_mut());
    }
}
