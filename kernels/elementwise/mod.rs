//! Element by element: ReLU, [CReLU](Crelu), their gradients, and the sum of two arrays (residual connections).
//!
//! ```text
//! relu: y = max(x, 0)        its gradient: dx = dy where y > 0, else 0        add: c = a + b, da = db = dc
//! ```
//!
//! A NaN stays a NaN in ReLU, as in PyTorch. The gradient at x = 0 is 0.

use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

mod cases;
mod cpu;
mod crelu;

pub use cases::cases;
pub use crelu::{Crelu, CreluBackward, CreluTangent};

/// `y = max(x, 0)`.
#[derive(Clone, Copy, Debug)]
pub struct Relu {
    /// Number of elements.
    pub len: usize,
}

/// `dx = dy` where `y > 0`, else 0, with y the output of [`Relu`].
#[derive(Clone, Copy, Debug)]
pub struct ReluBackward {
    /// Number of elements.
    pub len: usize,
}

/// `c = a + b`.
#[derive(Clone, Copy, Debug)]
pub struct Add {
    /// Number of elements.
    pub len: usize,
}

/// Threads of a workgroup.
const WORKGROUP: usize = 256;
/// Most workgroups in one dimension of a grid.
const GRID: usize = 65_535;

/// The grid of a shader that strides over `len` elements in vectors of four.
pub(crate) fn grid(len: usize) -> [u32; 3] {
    [len.div_ceil(4 * WORKGROUP).min(GRID) as u32, 1, 1]
}

/// The launches of a shader whose bindings are all read but the last, one for each window of the buffers.
fn launch(
    label: &'static str,
    source: &'static str,
    len: usize,
    buffers: usize,
    gpu: &GpuTraits,
) -> Vec<Dispatch> {
    let access = |i| if i + 1 == buffers { Access::ReadWrite } else { Access::Read };
    let windowed: Vec<_> = (0..buffers).map(|buffer| (buffer, 1)).collect();
    in_windows(len, &windowed, gpu, |window| {
        vec![Dispatch {
            label: label.into(),
            source: source.into(),
            constants: Vec::new(),
            bindings: (0..buffers).map(|i| (i, access(i))).collect(),
            immediates: vec![window.len() as u32],
            clock: false,
            grid: grid(window.len()),
            windows: Vec::new(),
        }]
    })
}

impl Kernel for Relu {
    fn name(&self) -> &'static str {
        "elementwise/relu"
    }
    fn shape(&self) -> String {
        self.len.to_string()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", self.len), Binding::write("y", self.len)]
    }
    fn cost(&self) -> Cost {
        Cost { flops: self.len as u64, bytes: 8 * self.len as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        launch(self.name(), include_str!("relu.wgsl"), self.len, 2, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::relu(cpu, args);
    }
}

impl Kernel for ReluBackward {
    fn name(&self) -> &'static str {
        "elementwise/relu_backward"
    }
    fn shape(&self) -> String {
        self.len.to_string()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("y", self.len), Binding::read("dy", self.len), Binding::write("dx", self.len)]
    }
    fn cost(&self) -> Cost {
        Cost { flops: self.len as u64, bytes: 12 * self.len as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        launch(self.name(), include_str!("relu_backward.wgsl"), self.len, 3, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::relu_backward(cpu, args);
    }
}

impl Kernel for Add {
    fn name(&self) -> &'static str {
        "elementwise/add"
    }
    fn shape(&self) -> String {
        self.len.to_string()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("a", self.len), Binding::read("b", self.len), Binding::write("c", self.len)]
    }
    fn cost(&self) -> Cost {
        Cost { flops: self.len as u64, bytes: 12 * self.len as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        launch(self.name(), include_str!("add.wgsl"), self.len, 3, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::add(cpu, args);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(cases());
    }

    #[test]
    fn relu_keeps_a_nan() {
        for isa in crate::simd::Isa::supported() {
            let cpu = Cpu { isa, threads: crate::threads::Threads::new(1).unwrap() };
            let x = [f32::NAN, -1.0, 2.0, f32::NEG_INFINITY, f32::INFINITY].map(f32::to_bits);
            let mut y = [0; 5];
            let args = [crate::Arg::Read(&x), crate::Arg::Write(&mut y)];
            crate::run(&Relu { len: 5 }, &cpu, &Clock::default(), args, &mut []).unwrap();
            let y = y.map(f32::from_bits);
            assert!(y[0].is_nan(), "{isa:?}: {y:?}");
            assert_eq!(y[1..], [0.0, 2.0, 0.0, f32::INFINITY]);
        }
    }
}
