//! AdamW over a whole arena.

use super::{CHUNK, over_vectors};
use crate::Cpu;
use crate::kernel::{Args, Binding, CLOCK_WGSL, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::simd::{Simd, Vectorised};
use crate::template::expand;
use crate::threads::Parts;
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

    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([params, gradients, exp_avg, exp_avg_sq, clip], _) = args.split();
        adamw(
            self,
            cpu,
            clock,
            clip.f32()[1],
            [params.f32_mut(), exp_avg.f32_mut(), exp_avg_sq.f32_mut()],
            gradients.f32(),
        );
    }
}

/// What is the same for all parameters of an AdamW step.
#[derive(Clone, Copy)]
struct AdamWFactors {
    clip: f32,
    decay: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    inverse_correction2_sqrt: f32,
    eps: f32,
    step_size: f32,
}

struct AdamWChunk<'a> {
    params: &'a mut [f32],
    exp_avg: &'a mut [f32],
    exp_avg_sq: &'a mut [f32],
    gradients: &'a [f32],
    factors: AdamWFactors,
}

/// New parameter and moments of sixteen parameters.
#[inline(always)]
fn adamw_vector<S: Simd>(s: S, f: &AdamWFactors, [p, m, v, g]: [S::V; 4]) -> [S::V; 3] {
    let g = s.mul(g, s.splat(f.clip));
    let m = s.fma(s.sub(g, m), s.splat(f.one_minus_beta1), m);
    let v = s.fma(s.mul(g, s.splat(f.one_minus_beta2)), g, s.mul(v, s.splat(f.beta2)));
    let denominator = s.fma(s.sqrt(v), s.splat(f.inverse_correction2_sqrt), s.splat(f.eps));
    let step = s.div(s.mul(m, s.splat(f.step_size)), denominator);
    // Subtracted, not selected: a NaN stays.
    let magnitude = s.max(m, s.sub(s.splat(0.0), m));
    let kept = s.sub(m, s.keep_positive(m, s.sub(s.splat(FADED), magnitude)));
    let kept_square = s.sub(v, s.keep_positive(v, s.sub(s.splat(FADED_SQUARE), v)));
    [s.sub(s.mul(p, s.splat(f.decay)), step), kept, kept_square]
}

impl Vectorised for AdamWChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let f = self.factors;
        let (params, params_tail) = self.params.as_chunks_mut::<16>();
        let (exp_avg, exp_avg_tail) = self.exp_avg.as_chunks_mut::<16>();
        let (exp_avg_sq, exp_avg_sq_tail) = self.exp_avg_sq.as_chunks_mut::<16>();
        let (gradients, gradients_tail) = self.gradients.as_chunks::<16>();
        for (((p, m), v), g) in params.iter_mut().zip(exp_avg).zip(exp_avg_sq).zip(gradients) {
            let new = adamw_vector(s, &f, [s.load(p), s.load(m), s.load(v), s.load(g)]);
            s.store(p, new[0]);
            s.store(m, new[1]);
            s.store(v, new[2]);
        }
        if !params_tail.is_empty() {
            let old = [
                s.load_partial(params_tail),
                s.load_partial(exp_avg_tail),
                s.load_partial(exp_avg_sq_tail),
                s.load_partial(gradients_tail),
            ];
            let new = adamw_vector(s, &f, old);
            s.store_partial(params_tail, new[0]);
            s.store_partial(exp_avg_tail, new[1]);
            s.store_partial(exp_avg_sq_tail, new[2]);
        }
    }
}

/// One AdamW step; `arenas` are parameters, first and second moments.
fn adamw(kernel: &AdamW, cpu: &Cpu, clock: &Clock, clip: f32, arenas: [&mut [f32]; 3], gradients: &[f32]) {
    let learning_rate = f64::from(clock.learning_rate);
    let factors = AdamWFactors {
        clip,
        decay: (1.0 - learning_rate * kernel.weight_decay) as f32,
        one_minus_beta1: (1.0 - kernel.beta1) as f32,
        beta2: kernel.beta2 as f32,
        one_minus_beta2: (1.0 - kernel.beta2) as f32,
        inverse_correction2_sqrt: (1.0 / f64::from(clock.bias_correction2_sqrt)) as f32,
        eps: kernel.eps as f32,
        step_size: (learning_rate / f64::from(clock.bias_correction1)) as f32,
    };
    let [params, exp_avg, exp_avg_sq] = arenas.map(Parts::new);
    cpu.threads.run(kernel.len.div_ceil(CHUNK), &|index| {
        let range = index * CHUNK..((index + 1) * CHUNK).min(kernel.len);
        // SAFETY: every index runs once, and the ranges of different indices do not overlap.
        let [params, exp_avg, exp_avg_sq] = unsafe {
            [params.part(range.clone()), exp_avg.part(range.clone()), exp_avg_sq.part(range.clone())]
        };
        cpu.isa.run(AdamWChunk { params, exp_avg, exp_avg_sq, gradients: &gradients[range], factors });
    });
}
