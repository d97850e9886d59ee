//! Adam over a whole arena, with decoupled or coupled weight decay.

use super::over_vectors;
use super::step::{FADED, FADED_SQUARE, Rule, faded, step};
use crate::Cpu;
use crate::kernel::{Args, Binding, CLOCK_WGSL, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::simd::Simd;
use crate::template::expand;
use std::fmt::Display;

/// Where a weight decay acts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WeightDecay {
    /// `p = p * (1 - lr * decay)` before the step (Loshchilov and Hutter 2019).
    Decoupled(f64),
    /// `g = g + decay * p`: the gradient of `decay / 2 Σ p²`.
    Coupled(f64),
}

/// One Adam step for every parameter of an arena, with the gradient clipped on the way:
///
/// ```text
/// g = gradient * clip[1]                  + weight_decay * p if it is coupled
/// p = p * (1 - lr * weight_decay)         if it is decoupled
/// m = m + (g - m) * (1 - beta1)
/// v = v * beta2 + (1 - beta2) * g * g
/// p = p - lr / bias_correction1 * m / (sqrt(v) / bias_correction2_sqrt + eps)
/// ```
///
/// With `eps_root` the denominator is `sqrt(v / bias_correction2_sqrt² + eps_root) + eps`, as in `optax.adam`.
///
/// The first moment of a parameter without gradient, such as a weight of a dead unit, fades by `beta1` a step until it is no
/// normal number, and stays there; a processor takes ten times as long for such numbers. So a new m below [`FADED`] and a
/// new v below [`FADED_SQUARE`] are stored as 0, long after they could move a parameter.
///
/// Learning rate and bias corrections come from the [`Clock`]. The order is that of `torch.optim.AdamW` and
/// `torch.optim.Adam` (single tensor, no AMSGrad). Shapes: all four arenas `[len]`; `clip` is what
/// [`super::GradientNorm`] wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Number of parameters.
    pub len: usize,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Added under the root of the denominator; 0 in PyTorch.
    pub eps_root: f64,
    /// Weight decay and where it acts.
    pub weight_decay: WeightDecay,
}

impl Kernel for Adam {
    fn name(&self) -> &'static str {
        match self.weight_decay {
            WeightDecay::Decoupled(_) => "arena/adamw",
            WeightDecay::Coupled(_) => "arena/adam",
        }
    }

    fn shape(&self) -> String {
        match self.eps_root {
            0.0 => self.len.to_string(),
            eps_root => format!("{} eps_root {eps_root}", self.len),
        }
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
        let (WeightDecay::Decoupled(decay) | WeightDecay::Coupled(decay)) = self.weight_decay;
        let parameters = [
            (1.0 - self.beta1) as f32,
            self.beta2 as f32,
            (1.0 - self.beta2) as f32,
            self.eps as f32,
            decay as f32,
            self.eps_root as f32,
        ];
        let values: [(&str, &dyn Display); 4] = [
            ("FADED_SQUARE", &FADED_SQUARE),
            ("FADED", &FADED),
            ("COUPLED", &matches!(self.weight_decay, WeightDecay::Coupled(_))),
            ("EPS_ROOT", &(self.eps_root != 0.0)),
        ];
        let source = [CLOCK_WGSL, &expand(include_str!("adam.wgsl"), &values)].concat();
        over_vectors(self, source.into(), &parameters, true, gpu)
    }

    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([params, gradients, exp_avg, exp_avg_sq, clip], _) = args.split();
        let arenas = [params.f32_mut(), exp_avg.f32_mut(), exp_avg_sq.f32_mut()];
        let factors = Factors::new(self, clock, clip.f32()[1]);
        let coupled = matches!(self.weight_decay, WeightDecay::Coupled(_));
        match (coupled, self.eps_root != 0.0) {
            (false, false) => step(cpu, arenas, gradients.f32(), AdamRule::<false, false>(factors)),
            (false, true) => step(cpu, arenas, gradients.f32(), AdamRule::<false, true>(factors)),
            (true, false) => step(cpu, arenas, gradients.f32(), AdamRule::<true, false>(factors)),
            (true, true) => step(cpu, arenas, gradients.f32(), AdamRule::<true, true>(factors)),
        }
    }
}

/// What is the same for all parameters of a step.
#[derive(Clone, Copy)]
struct Factors {
    clip: f32,
    /// Added to the gradient per parameter.
    coupled: f32,
    /// What a parameter is multiplied with.
    decay: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    inverse_correction2_sqrt: f32,
    inverse_correction2: f32,
    eps: f32,
    eps_root: f32,
    step_size: f32,
}

impl Factors {
    fn new(kernel: &Adam, clock: &Clock, clip: f32) -> Self {
        let learning_rate = f64::from(clock.learning_rate);
        let (decoupled, coupled) = match kernel.weight_decay {
            WeightDecay::Decoupled(decay) => (decay, 0.0),
            WeightDecay::Coupled(decay) => (0.0, decay),
        };
        let inverse_correction2_sqrt = 1.0 / f64::from(clock.bias_correction2_sqrt);
        Self {
            clip,
            coupled: coupled as f32,
            decay: (1.0 - learning_rate * decoupled) as f32,
            one_minus_beta1: (1.0 - kernel.beta1) as f32,
            beta2: kernel.beta2 as f32,
            one_minus_beta2: (1.0 - kernel.beta2) as f32,
            inverse_correction2_sqrt: inverse_correction2_sqrt as f32,
            inverse_correction2: inverse_correction2_sqrt.powi(2) as f32,
            eps: kernel.eps as f32,
            eps_root: kernel.eps_root as f32,
            step_size: (learning_rate / f64::from(clock.bias_correction1)) as f32,
        }
    }
}

/// The step, compiled for each form of decay and denominator.
#[derive(Clone, Copy)]
struct AdamRule<const COUPLED: bool, const EPS_ROOT: bool>(Factors);

impl<const COUPLED: bool, const EPS_ROOT: bool> Rule<3> for AdamRule<COUPLED, EPS_ROOT> {
    #[inline(always)]
    fn vector<S: Simd>(self, s: S, [p, m, v]: [S::V; 3], gradient: S::V) -> [S::V; 3] {
        let f = self.0;
        let mut g = s.mul(gradient, s.splat(f.clip));
        if COUPLED {
            g = s.fma(p, s.splat(f.coupled), g);
        }
        let m = s.fma(s.sub(g, m), s.splat(f.one_minus_beta1), m);
        let v = s.fma(s.mul(g, s.splat(f.one_minus_beta2)), g, s.mul(v, s.splat(f.beta2)));
        let denominator = if EPS_ROOT {
            let root = s.sqrt(s.fma(v, s.splat(f.inverse_correction2), s.splat(f.eps_root)));
            s.add(root, s.splat(f.eps))
        } else {
            s.fma(s.sqrt(v), s.splat(f.inverse_correction2_sqrt), s.splat(f.eps))
        };
        let step = s.div(s.mul(m, s.splat(f.step_size)), denominator);
        let p = s.sub(s.mul(p, s.splat(f.decay)), step);
        let magnitude = s.max(m, s.sub(s.splat(0.0), m));
        [p, faded(s, m, magnitude, FADED), faded(s, v, v, FADED_SQUARE)]
    }
}
