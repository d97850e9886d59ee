//! The Gaussian error linear unit (Hendrycks and Gimpel, 2016), exact and not by its tanh approximation, with the dropout
//! behind it fused in if wanted.
//!
//! ```text
//! gelu(x) = x Φ(x)        Φ(x) = (1 + erf(x / sqrt(2))) / 2        gelu'(x) = Φ(x) + x exp(-x² / 2) / sqrt(2 pi)
//! y = mask gelu(x)        dx = mask gelu'(x) dy        gelu''(x) = exp(-x² / 2) / sqrt(2 pi) (2 - x²)
//! ```
//!
//! mask is `1 / (1 - rate)` where kept, else 0 ([`Mask`]); without dropout it is 1.

use crate::dropout::{Mask, mask};
use crate::kernel::CLOCK_WGSL;
use crate::template::expand;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel, math, random};

mod cases;
mod cpu;
mod gradient_tangent;

pub use cases::cases;
pub use gradient_tangent::GeluGradientTangent;

/// `y = mask gelu(x)`. Buffers: `x` (read), `y` (written).
#[derive(Clone, Copy, Debug)]
pub struct Gelu {
    /// Number of elements.
    pub len: usize,
    /// Dropout of the result; `None` without.
    pub mask: Option<Mask>,
}

/// `dx = mask gelu'(x) dy`. Buffers: `x` (read), `dy` (read), `dx` (written).
#[derive(Clone, Copy, Debug)]
pub struct GeluBackward {
    /// Number of elements.
    pub len: usize,
    /// Dropout of the result; `None` without.
    pub mask: Option<Mask>,
}

fn shape(len: usize, mask: Option<Mask>) -> String {
    mask.map_or(len.to_string(), |mask| format!("{len} dropout {}", mask.rate))
}

/// The launches of both; all bindings are read but the last.
fn launches(
    label: &'static str,
    len: usize,
    mask: Option<Mask>,
    backward: bool,
    gpu: &GpuTraits,
) -> Vec<Dispatch> {
    let main = expand(include_str!("gelu.wgsl"), &[("BACKWARD", &backward), ("MASK", &mask.is_some())]);
    let source = match mask {
        Some(_) => [CLOCK_WGSL, &random::wgsl(), mask::WGSL, math::WGSL, &main].concat(),
        None => [math::WGSL, &main].concat(),
    };
    let buffers = if backward { 3 } else { 2 };
    let whole: Vec<(usize, usize)> = (0..buffers).map(|buffer| (buffer, 1)).collect();
    in_windows(len, &whole, gpu, |range| {
        let mut immediates = vec![range.len() as u32, (range.start / 4) as u32];
        immediates.extend(mask.iter().flat_map(|mask| mask.immediates()));
        let access = |i| if i + 1 == buffers { Access::ReadWrite } else { Access::Read };
        vec![Dispatch {
            label: label.into(),
            source: source.clone().into(),
            constants: Vec::new(),
            bindings: (0..buffers).map(|i| (i, access(i))).collect(),
            windows: Vec::new(),
            immediates,
            clock: mask.is_some(),
            grid: crate::elementwise::grid(range.len()),
        }]
    })
}

impl Kernel for Gelu {
    fn name(&self) -> &'static str {
        "gelu/forward"
    }
    fn shape(&self) -> String {
        shape(self.len, self.mask)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", self.len), Binding::write("y", self.len)]
    }
    fn cost(&self) -> Cost {
        // Two polynomials in x², their quotient, and the product.
        Cost { flops: 30 * self.len as u64, bytes: 8 * self.len as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        launches(self.name(), self.len, self.mask, false, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        cpu::forward(self, cpu, clock, args);
    }
}

impl Kernel for GeluBackward {
    fn name(&self) -> &'static str {
        "gelu/backward"
    }
    fn shape(&self) -> String {
        shape(self.len, self.mask)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", self.len), Binding::read("dy", self.len), Binding::write("dx", self.len)]
    }
    fn cost(&self) -> Cost {
        // As forward, and an exponential.
        Cost { flops: 50 * self.len as u64, bytes: 12 * self.len as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        launches(self.name(), self.len, self.mask, true, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        cpu::backward(self, cpu, clock, args);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
