//! Dormant units: which there are, and how they are made anew (ReDo, Sokar et al. 2023).
//!
//! A unit is a channel of a convolution or a feature of a linear layer. Its score compares its mean activity with that of
//! its layer; what is not above the threshold is dormant:
//!
//! ```text
//! activity[u] = Σ |h[.., u]|                                     reduce::ActivitySum
//! score[u]    = mean[u] / (mean over the layer's units + 1e-9)   mean[u] = activity[u] / values
//! dormant[u]  = 1 if score[u] <= threshold, else 0               Dormant
//! target[o, u, i] = a new value, where dormant[u]                Recycle
//! ```
//!
//! [`Recycle`] sees every tensor of a unit as `[outer, units, inner]`: the filters `[K, K, I, O]` that make it as
//! `[K K I, O, 1]`, those that read it as `[K K, I, O]`; the matrix `[out, in]` that makes it as `[1, out, in]`, one that
//! reads it as `[out, in, 1]`, or as `[out H W, C, 1]` where it reads a flattened image.

use crate::kernel::CLOCK_WGSL;
use crate::math;
use crate::random::{self, stream};
use crate::size::words;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

mod cases;
mod cpu;

pub use cases::cases;

/// Which units of a layer are dormant, `[units]`, 1 or 0, and how many, `[1]`.
#[derive(Clone, Copy, Debug)]
pub struct Dormant {
    /// Units of the layer.
    pub units: usize,
    /// Values that each unit's activity is the sum of: examples times positions.
    pub values: usize,
    /// Largest score of a dormant unit.
    pub threshold: f32,
}

/// Added to the layer's mean activity.
const EPSILON: f32 = 1e-9;

impl Kernel for Dormant {
    fn name(&self) -> &'static str {
        "units/dormant"
    }
    fn shape(&self) -> String {
        format!("{} threshold {}", self.units, self.threshold)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("activity", self.units),
            Binding::write("dormant", self.units).integers(),
            Binding::write("count", 1).integers(),
        ]
    }
    fn cost(&self) -> Cost {
        Cost { flops: 4 * self.units as u64, bytes: 12 * self.units as u64 }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        let factors = [1.0 / self.values as f32, 1.0 / self.units as f32, EPSILON, self.threshold];
        vec![Dispatch {
            label: "units/dormant".into(),
            source: concat!(include_str!("../arena/tree.wgsl"), include_str!("dormant.wgsl")).into(),
            constants: Vec::new(),
            bindings: vec![(0, Access::Read), (1, Access::ReadWrite), (2, Access::ReadWrite)],
            immediates: std::iter::once(self.units as u32).chain(factors.map(f32::to_bits)).collect(),
            clock: false,
            grid: [1, 1, 1],
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, _cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::dormant(self, args);
    }
}

/// The new values of dormant units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Renewed {
    /// All equal.
    Constant(f32),
    /// Uniform in `[-bound, bound)`, drawn by seed and step: `(2 unit(word) - 1) bound`, where word i of the tensor is lane
    /// i % 4 of `pcg4d(i / 4, step, RECYCLE + tensor, seed)`.
    Uniform {
        /// Largest magnitude.
        bound: f32,
        /// Number of the tensor: each has its own random stream.
        tensor: u32,
    },
    /// Normal with mean 0, from the same words: 0 and 1, or 2 and 3, make two (`normals` of math.rs: the upper 24 bits of
    /// each).
    Normal {
        /// Standard deviation.
        deviation: f32,
        /// As above.
        tensor: u32,
    },
}

/// Gives the dormant units of a tensor `[outer, units, inner]` new values and leaves the others.
#[derive(Clone, Copy, Debug)]
pub struct Recycle {
    /// Axes before that of the units, multiplied.
    pub outer: usize,
    /// Units.
    pub units: usize,
    /// Axes behind, multiplied.
    pub inner: usize,
    /// What dormant units get.
    pub renewed: Renewed,
}

impl Recycle {
    fn len(&self) -> usize {
        words([self.outer, self.units, self.inner])
    }
}

impl Kernel for Recycle {
    fn name(&self) -> &'static str {
        "units/recycle"
    }
    fn shape(&self) -> String {
        let renewed = match self.renewed {
            Renewed::Constant(value) => format!("value {value}"),
            Renewed::Uniform { .. } => "drawn".into(),
            Renewed::Normal { .. } => "drawn normal".into(),
        };
        format!("{}x{}x{} {renewed}", self.outer, self.units, self.inner)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("dormant", self.units).integers(), Binding::read_write("target", self.len())]
    }
    /// With all units dormant; the integer arithmetic of the generator is not counted.
    fn cost(&self) -> Cost {
        let drawn = !matches!(self.renewed, Renewed::Constant(_));
        let flops = if drawn { 2 * self.len() as u64 } else { 0 };
        Cost { flops, bytes: 4 * self.len() as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let (drawn, value, tensor) = match self.renewed {
            Renewed::Constant(value) => (false, value, 0),
            Renewed::Uniform { bound, tensor } => (true, bound, tensor),
            Renewed::Normal { deviation, tensor } => (true, deviation, tensor),
        };
        let normal = matches!(self.renewed, Renewed::Normal { .. });
        // How the units of four neighbours follow from the first.
        let same = self.inner.is_multiple_of(4);
        let neighbours = self.inner == 1 && self.units.is_multiple_of(4);
        let source = crate::template::expand(
            include_str!("recycle.wgsl"),
            &[("DRAWN", &drawn), ("NORMAL", &normal), ("SAME", &same), ("NEIGHBOURS", &neighbours)],
        );
        let math = if normal { math::WGSL } else { "" };
        let source = [CLOCK_WGSL, &random::wgsl(), math, &source].concat();
        in_windows(self.len(), &[(1, 1)], gpu, |window| {
            let sizes = [window.len(), window.start / 4, self.units, self.inner].map(|n| n as u32);
            vec![Dispatch {
                label: "units/recycle".into(),
                source: source.clone().into(),
                constants: Vec::new(),
                bindings: vec![(0, Access::Read), (1, Access::ReadWrite)],
                immediates: sizes.into_iter().chain([value.to_bits(), stream::RECYCLE + tensor]).collect(),
                clock: true,
                grid: crate::elementwise::grid(window.len()),
                windows: Vec::new(),
            }]
        })
    }
    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        cpu::recycle(self, cpu, clock, args);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
