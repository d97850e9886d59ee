//! RMSProp over a whole arena.

use super::over_vectors;
use super::step::{FADED, FADED_SQUARE, Rule, faded, step};
use crate::Cpu;
use crate::kernel::{Args, Binding, CLOCK_WGSL, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::simd::Simd;
use crate::template::expand;
use std::fmt::Display;

/// One RMSProp step (Hinton 2012) for every parameter of an arena, with the gradient clipped on the way:
///
/// ```text
/// g = gradient * clip[1] + weight_decay * p
/// v = v * alpha + (1 - alpha) * g * g
/// a = a + (g - a) * (1 - alpha)                 only if centred (Graves 2013)
/// p = p - lr * g / (sqrt(v - a * a) + eps)      without a if it is not
/// ```
///
/// The order is that of `torch.optim.RMSprop` (no momentum), but that a variance which rounding made negative counts as 0
/// and not as NaN. Moments fade as in [`super::Adam`]. The learning rate comes from the [`Clock`]. Shapes: all arenas
/// `[len]`, `grad_avg` only if centred; `clip` is what [`super::GradientNorm`] wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct RmsProp {
    /// Number of parameters.
    pub len: usize,
    /// Decay of the moments.
    pub alpha: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Coupled weight decay.
    pub weight_decay: f64,
    /// Whether the squared mean gradient is taken off the mean square.
    pub centered: bool,
}

impl Kernel for RmsProp {
    fn name(&self) -> &'static str {
        "arena/rmsprop"
    }

    fn shape(&self) -> String {
        format!("{}{}", self.len, if self.centered { " centered" } else { "" })
    }

    fn bindings(&self) -> Vec<Binding> {
        let mut bindings = vec![
            Binding::read_write("params", self.len),
            Binding::read("gradients", self.len),
            Binding::read_write("square_avg", self.len),
        ];
        bindings.extend(self.centered.then(|| Binding::read_write("grad_avg", self.len)));
        bindings.push(Binding::read("clip", 2));
        bindings
    }

    fn cost(&self) -> Cost {
        // Three arrays read and two written; the mean gradient is one more of each.
        let (flops, bytes) = if self.centered { (14, 28) } else { (10, 20) };
        Cost { flops: flops * self.len as u64, bytes: bytes * self.len as u64 }
    }

    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let parameters =
            [self.alpha as f32, (1.0 - self.alpha) as f32, self.eps as f32, self.weight_decay as f32];
        let values: [(&str, &dyn Display); 3] =
            [("FADED_SQUARE", &FADED_SQUARE), ("FADED", &FADED), ("CENTERED", &self.centered)];
        let source = [CLOCK_WGSL, &expand(include_str!("rmsprop.wgsl"), &values)].concat();
        over_vectors(self, source.into(), &parameters, true, gpu)
    }

    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let rule = |clip: f32| RmsPropRule {
            clip,
            weight_decay: self.weight_decay as f32,
            alpha: self.alpha as f32,
            one_minus_alpha: (1.0 - self.alpha) as f32,
            eps: self.eps as f32,
            learning_rate: clock.learning_rate,
        };
        if self.centered {
            let ([params, gradients, square, mean, clip], _) = args.split();
            let arenas = [params.f32_mut(), square.f32_mut(), mean.f32_mut()];
            step(cpu, arenas, gradients.f32(), rule(clip.f32()[1]));
        } else {
            let ([params, gradients, square, clip], _) = args.split();
            step(cpu, [params.f32_mut(), square.f32_mut()], gradients.f32(), rule(clip.f32()[1]));
        }
    }
}

#[derive(Clone, Copy)]
struct RmsPropRule {
    clip: f32,
    weight_decay: f32,
    alpha: f32,
    one_minus_alpha: f32,
    eps: f32,
    learning_rate: f32,
}

impl RmsPropRule {
    /// The gradient with weight decay, and the new mean square.
    #[inline(always)]
    fn moments<S: Simd>(self, s: S, p: S::V, v: S::V, gradient: S::V) -> [S::V; 2] {
        let g = s.fma(p, s.splat(self.weight_decay), s.mul(gradient, s.splat(self.clip)));
        [g, s.fma(s.mul(g, s.splat(self.one_minus_alpha)), g, s.mul(v, s.splat(self.alpha)))]
    }
    #[inline(always)]
    fn moved<S: Simd>(self, s: S, p: S::V, g: S::V, variance: S::V) -> S::V {
        let denominator = s.add(s.sqrt(variance), s.splat(self.eps));
        s.sub(p, s.div(s.mul(g, s.splat(self.learning_rate)), denominator))
    }
}

impl Rule<2> for RmsPropRule {
    #[inline(always)]
    fn vector<S: Simd>(self, s: S, [p, v]: [S::V; 2], gradient: S::V) -> [S::V; 2] {
        let [g, v] = self.moments(s, p, v, gradient);
        [self.moved(s, p, g, v), faded(s, v, v, FADED_SQUARE)]
    }
}

impl Rule<3> for RmsPropRule {
    #[inline(always)]
    fn vector<S: Simd>(self, s: S, [p, v, a]: [S::V; 3], gradient: S::V) -> [S::V; 3] {
        let [g, v] = self.moments(s, p, v, gradient);
        let a = s.fma(s.sub(g, a), s.splat(self.one_minus_alpha), a);
        let variance = s.max(s.sub(v, s.mul(a, a)), s.splat(0.0));
        let magnitude = s.max(a, s.sub(s.splat(0.0), a));
        [self.moved(s, p, g, variance), faded(s, v, v, FADED_SQUARE), faded(s, a, magnitude, FADED)]
    }
}
