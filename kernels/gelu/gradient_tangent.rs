//! How the gradient of GELU moves.

use super::cpu;
use crate::elementwise::grid;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel, math};

/// `dx' = gelu'(x) dy' + gelu''(x) x' dy`, without dropout. Buffers: `x`, `x_tangent`, `dy`, `dy_tangent` (read),
/// `dx_tangent` (written).
#[derive(Clone, Copy, Debug)]
pub struct GeluGradientTangent {
    /// Number of elements.
    pub len: usize,
}

impl Kernel for GeluGradientTangent {
    fn name(&self) -> &'static str {
        "gelu/gradient_tangent"
    }
    fn shape(&self) -> String {
        self.len.to_string()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("x", self.len),
            Binding::read("x_tangent", self.len),
            Binding::read("dy", self.len),
            Binding::read("dy_tangent", self.len),
            Binding::write("dx_tangent", self.len),
        ]
    }
    fn cost(&self) -> Cost {
        // As the gradient, and the second derivative.
        Cost { flops: 56 * self.len as u64, bytes: 20 * self.len as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let windowed: Vec<_> = (0..5).map(|buffer| (buffer, 1)).collect();
        in_windows(self.len, &windowed, gpu, |window| {
            vec![Dispatch {
                label: self.name().into(),
                source: [math::WGSL, include_str!("gradient_tangent.wgsl")].concat().into(),
                constants: Vec::new(),
                bindings: vec![(0, Read), (1, Read), (2, Read), (3, Read), (4, ReadWrite)],
                immediates: vec![window.len() as u32],
                clock: false,
                grid: grid(window.len()),
                windows: Vec::new(),
            }]
        })
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::gradient_tangent(cpu, args);
    }
}
