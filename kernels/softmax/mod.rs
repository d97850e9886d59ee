//! The softmax of rows, its tangent, and the tangent of its gradient: what second derivatives of cross-entropy and of
//! attention are made of.
//!
//! For rows x of `[rows, columns]` arrays, with the maximum subtracted so that nothing overflows:
//!
//! ```text
//! p = softmax(scale x)                                                                       Softmax
//! p' = scale p ∘ (x' - Σ p x')                                                               SoftmaxTangent
//! dx = scale p ∘ (dp - Σ p dp)          the same kernel: the Jacobian is symmetric
//! dx' = scale (p' ∘ (dp - Σ p dp) + p ∘ (dp' - Σ (p' dp + p dp')))                           SoftmaxGradientTangent
//! ```
//!
//! A prime is a derivative along a direction. The gradient of the mean cross-entropy of logits z is
//! `(softmax(z) - onehot) / rows`, and that of `c Σ z²` is `2 c z / rows`: so `dz' = scale p ∘ (z' - Σ p z') + shift z'`
//! with `scale = 1 / rows` and `shift = 2 c / rows`.

use crate::size::words;
use crate::{Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel, rows};

mod cases;
mod cpu;

pub use cases::cases;

/// `p = softmax(scale x)`. Buffers: `x` (read), `p` (written).
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    /// Rows.
    pub rows: usize,
    /// Length of a row.
    pub columns: usize,
    /// Factor of x, above 0.
    pub scale: f32,
}

/// `y = scale p ∘ (a - Σ p a) + shift a`. Buffers: `p`, `a` (read), `y` (written).
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxTangent {
    /// Rows.
    pub rows: usize,
    /// Length of a row.
    pub columns: usize,
    /// Factor of the product with the Jacobian.
    pub scale: f32,
    /// Factor of a itself.
    pub shift: f32,
}

/// `y = scale (p' ∘ (a - Σ p a) + p ∘ (a' - Σ (p' a + p a')))`. Buffers: `p`, `p_tangent`, `a`, `a_tangent` (read), `y`
/// (written).
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxGradientTangent {
    /// Rows.
    pub rows: usize,
    /// Length of a row.
    pub columns: usize,
    /// Factor of all.
    pub scale: f32,
}

impl Kernel for Softmax {
    fn name(&self) -> &'static str {
        "softmax/forward"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.columns)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.columns]);
        vec![Binding::read("x", all), Binding::write("p", all)]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.columns) as u64;
        Cost { flops: 6 * all, bytes: 8 * all }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let shape = [self.rows, self.columns];
        let numbers = [self.scale, 0.0];
        rows::launches(self.name(), include_str!("forward.wgsl"), shape, &self.bindings(), numbers, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::softmax(self, cpu, args);
    }
}

impl Kernel for SoftmaxTangent {
    fn name(&self) -> &'static str {
        "softmax/tangent"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.columns)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.columns]);
        vec![Binding::read("p", all), Binding::read("a", all), Binding::write("y", all)]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.columns) as u64;
        Cost { flops: 6 * all, bytes: 12 * all }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let shape = [self.rows, self.columns];
        let numbers = [self.scale, self.shift];
        rows::launches(self.name(), include_str!("tangent.wgsl"), shape, &self.bindings(), numbers, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::tangent(self, cpu, args);
    }
}

impl Kernel for SoftmaxGradientTangent {
    fn name(&self) -> &'static str {
        "softmax/gradient_tangent"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.columns)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.columns]);
        vec![
            Binding::read("p", all),
            Binding::read("p_tangent", all),
            Binding::read("a", all),
            Binding::read("a_tangent", all),
            Binding::write("y", all),
        ]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.columns) as u64;
        Cost { flops: 12 * all, bytes: 20 * all }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let source = include_str!("gradient_tangent.wgsl");
        let shape = [self.rows, self.columns];
        rows::launches(self.name(), source, shape, &self.bindings(), [self.scale, 0.0], gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::gradient_tangent(self, cpu, args);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
