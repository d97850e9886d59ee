//! AdamW over a whole arena.

use super::{cpu, over_vectors};
use crate::Cpu;
use crate::kernel::{Args, Binding, CLOCK_WGSL, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::template::expand;
use std::fmt::Display;

/// Magnitude below which a first moment is stored as 0.
pub const FADED: f32 = 1e-30;
/// Below which a second moment is stored as 0: its root is far below any eps.
pub const FADED_SQUARE: f32 = 1e-37;

/// One AdamW step for every parameter of an arena, with the gradient clipped on the way:
///
/// ```text
/// g = gradient * clip[1]
/// p = p * (1 - lr * weight_decay)
/// m = m + (g - m) * (1 - beta1)
/// v = v * beta2 + (1 - beta2) * g * g
/// p = p - lr / bias_correction1 * m / (sqrt(v) / bias_correction2_sqrt + eps)
/// ```
///
/// The first moment of a parameter without gradient, such as a weight of a dead unit, fades by `beta1` a step until it is no
/// normal number, and stays there; a processor takes ten times as long for such numbers. So a new m below [`FADED`] and a
/// new v below [`FADED_SQUARE`] are stored as 0, long after they could move a parameter.
///
/// Learning rate and bias corrections come from the [`Clock`]. The order is that of `torch.optim.AdamW` (single
/// tensor, no AMSGrad). Shapes: all four arenas `[len]`; `clip` is what [`super::GradientNorm`] wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// Number of parameters.
    pub len: usize,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay; multiplied by the learning rate.
    pub weight_decay: f64,
}

impl Kernel for AdamW {
    fn name(&self) -> &'static str {
        "arena/adamw"
    }

    fn shape(&self) -> String {
        self.len.to_string()
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read_write("params", self.len),
            Binding::read("gradients", self.len),
            Binding::read_write("exp_avg", self.len),
            Binding::read_write("exp_avg_sq", self.len),
            Binding::read("clip", 2),
        ]
    }

    fn cost(&self) -> Cost {
        // Four arrays read, three written.
        Cost { flops: 15 * self.len as u64, bytes: 28 * self.len as u64 }
    }

    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let parameters = [
            (1.0 - self.beta1) as f32,
            self.beta2 as f32,
            (1.0 - self.beta2) as f32,
            self.eps as f32,
            self.weight_decay as f32,
        ];
        let values: [(&str, &dyn Display); 2] = [("FADED_SQUARE", &FADED_SQUARE), ("FADED", &FADED)];
        let source = [CLOCK_WGSL, &expand(include_str!("adamw.wgsl"), &values)].concat();
        over_vectors(self, source.into(), &parameters, true, gpu)
    }

    fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([params, gradients, exp_avg, exp_avg_sq, clip], _) = args.split();
        cpu::adamw(
            self,
            cpu,
            clock,
            clip.f32()[1],
            [params.f32_mut(), exp_avg.f32_mut(), exp_avg_sq.f32_mut()],
            gradients.f32(),
        );
    }
}
