//! Stochastic gradient descent with momentum over a whole arena.

use super::over_vectors;
use super::step::{FADED, Rule, faded, step};
use crate::Cpu;
use crate::kernel::{Args, Binding, CLOCK_WGSL, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::simd::Simd;
use crate::template::expand;

/// One step of gradient descent with momentum (Polyak 1964) for every parameter of an arena, with the gradient clipped on
/// the way:
///
/// ```text
/// g = gradient * clip[1] + weight_decay * p
/// b = momentum * b + g
/// p = p - lr * b
/// ```
///
/// The order is that of `torch.optim.SGD` (dampening 0, no Nesterov); b begins at 0. A new b whose magnitude is below
/// [`FADED`] is stored as 0, as in [`super::Adam`]. The learning rate comes from the [`Clock`]. Shapes: all three arenas
/// `[len]`; `clip` is what [`super::GradientNorm`] wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    /// Number of parameters.
    pub len: usize,
    /// Share of the last step's b that remains; 0 is plain gradient descent.
    pub momentum: f64,
    /// Coupled weight decay.
    pub weight_decay: f64,
}

impl Kernel for Sgd {
    fn name(&self) -> &'static str {
        "arena/sgd"
    }

    fn shape(&self) -> String {
        self.len.to_string()
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read_write("params", self.len),
            Binding::read("gradients", self.len),
            Binding::read_write("momentum_buffer", self.len),
            Binding::read("clip", 2),
        ]
    }

    fn cost(&self) -> Cost {
        // Three arrays read, two written.
        Cost { flops: 7 * self.len as u64, bytes: 20 * self.len as u64 }
    }

    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let source = [CLOCK_WGSL, &expand(include_str!("sgd.wgsl"), &[("FADED", &FADED)])].concat();
        over_vectors(self, source.into(), &[self.momentum as f32, self.weight_decay as f32], true, gpu)
    }

    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([params, gradients, buffer, clip], _) = args.split();
        let rule = SgdRule {
            clip: clip.f32()[1],
            weight_decay: self.weight_decay as f32,
            momentum: self.momentum as f32,
            learning_rate: clock.learning_rate,
        };
        step(cpu, [params.f32_mut(), buffer.f32_mut()], gradients.f32(), rule);
    }
}

#[derive(Clone, Copy)]
struct SgdRule {
    clip: f32,
    weight_decay: f32,
    momentum: f32,
    learning_rate: f32,
}

impl Rule<2> for SgdRule {
    #[inline(always)]
    fn vector<S: Simd>(self, s: S, [p, b]: [S::V; 2], gradient: S::V) -> [S::V; 2] {
        let g = s.fma(p, s.splat(self.weight_decay), s.mul(gradient, s.splat(self.clip)));
        let b = s.fma(b, s.splat(self.momentum), g);
        let p = s.fma(b, s.splat(-self.learning_rate), p);
        [p, faded(s, b, s.max(b, s.sub(s.splat(0.0), b)), FADED)]
    }
}
