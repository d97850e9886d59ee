//! Cross-entropy of the distribution of the action that was taken, with a distribution as its target.

use super::grid;
use super::softmax::{self, exponentials, largest};
use crate::simd::{LANES, Simd, Vectorised};
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};
use std::ops::Range;

/// The cross-entropy of logits `[N, A, B]` at the actions `[N]` that were taken, with targets m `[N, B]`, and its
/// gradient:
///
/// ```text
/// z               = logits[action], p = softmax(z)
/// row_loss        = -Σ_b m_b log p_b = log Σ_b exp(z_b - max z) - Σ_b m_b (z_b - max z)       where Σ m = 1
/// dlogits[action] = weight (p - m) / N, zero elsewhere               the gradient of mean(weight row_loss)
/// ```
///
/// Buffers: logits, action, distribution (m), dlogits, row_loss `[N]`, and weight `[N]` if there are weights. With one
/// action per row all actions are 0. A logit of the action or a mass that is not finite, and an action that is none, make
/// both results of the row NaN.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// Transitions of the batch, N.
    pub rows: usize,
    /// Actions, A.
    pub actions: usize,
    /// Bins, B.
    pub bins: usize,
    /// Whether every row has an importance weight.
    pub weighted: bool,
}

impl Kernel for CrossEntropy {
    fn name(&self) -> &'static str {
        "categorical/cross_entropy"
    }
    fn shape(&self) -> String {
        let weighted = if self.weighted { " weighted" } else { "" };
        format!("{}x{}x{}{weighted}", self.rows, self.actions, self.bins)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.actions, self.bins]);
        let mut bindings = vec![
            Binding::read("logits", all),
            Binding::read("action", self.rows).integers(),
            Binding::read("distribution", words([self.rows, self.bins])),
            Binding::write("dlogits", all),
            Binding::write("row_loss", self.rows),
        ];
        bindings.extend(self.weighted.then(|| Binding::read("weight", self.rows)));
        bindings
    }
    /// The logits of one action of each row are read, all gradients are written.
    fn cost(&self) -> Cost {
        let (rows, taken) = (self.rows as u64, (self.rows * self.bins) as u64);
        // Maximum, difference, exponential (counted as one), two sums, gradient.
        let words = (2 + self.actions as u64) * taken + (2 + u64::from(self.weighted)) * rows;
        Cost { flops: 9 * taken, bytes: 4 * words }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let source =
            crate::template::expand(include_str!("cross_entropy.wgsl"), &[("WEIGHTED", &self.weighted)]);
        let mut bindings = vec![(0, Read), (1, Read), (2, Read), (3, ReadWrite), (4, ReadWrite)];
        bindings.extend(self.weighted.then_some((5, Read)));
        let sizes = [self.rows, self.actions, self.bins].map(|n| n as u32);
        vec![Dispatch {
            label: "categorical/cross_entropy".into(),
            source: [softmax::WGSL, &source].concat().into(),
            constants: Vec::new(),
            bindings,
            immediates: [&sizes[..], &[f32::NAN.to_bits()]].concat(),
            clock: false,
            grid: grid(self.rows),
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let CrossEntropy { rows, actions, bins, .. } = *self;
        let (mut args, _) = args.each();
        let mut next = || args.next().expect("as many buffers as declared");
        let (logits, action, distribution) = (next().f32(), next().u32(), next().f32());
        let dlogits = Parts::new(next().f32_mut());
        let row_loss = Parts::new(next().f32_mut());
        let weight = args.next().map(|weight| weight.f32());
        cpu.over_rows(rows, actions * bins, |part| {
            // SAFETY: every row belongs to one task.
            let (dlogits, row_loss) = unsafe {
                (
                    dlogits.part(part.start * actions * bins..part.end * actions * bins),
                    row_loss.part(part.clone()),
                )
            };
            let kernel = *self;
            cpu.isa.run(Rows { kernel, part, logits, action, distribution, weight, dlogits, row_loss });
        });
    }
}

/// The rows of a task: the inputs whole, the results of the task alone.
struct Rows<'a> {
    kernel: CrossEntropy,
    part: Range<usize>,
    logits: &'a [f32],
    action: &'a [u32],
    distribution: &'a [f32],
    weight: Option<&'a [f32]>,
    dlogits: &'a mut [f32],
    row_loss: &'a mut [f32],
}

impl Vectorised for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let CrossEntropy { rows, actions, bins, .. } = self.kernel;
        let written = self.dlogits.chunks_exact_mut(actions * bins).zip(self.row_loss);
        for (row, (dlogits, row_loss)) in self.part.zip(written) {
            let action = self.action[row] as usize;
            let target = &self.distribution[row * bins..][..bins];
            let logits = (action < actions).then(|| &self.logits[(row * actions + action) * bins..][..bins]);
            let most = logits.and_then(largest).filter(|_| target.iter().all(|mass| mass.is_finite()));
            let (Some(logits), Some(largest)) = (logits, most) else {
                dlogits.fill(f32::NAN);
                *row_loss = f32::NAN;
                continue;
            };
            dlogits.fill(0.0);
            let dlogits = &mut dlogits[action * bins..][..bins];
            let (mut sum, mut aligned) = (s.splat(0.0), s.splat(0.0));
            let parts = logits.chunks(LANES).zip(target.chunks(LANES));
            for ((logits, target), gradient) in parts.zip(dlogits.chunks_mut(LANES)) {
                let e = exponentials(s, logits, largest);
                s.store_partial(gradient, e);
                sum = s.add(sum, e);
                // Behind the bins the target is zero.
                let shifted = s.sub(s.load_partial(logits), s.splat(largest));
                aligned = s.fma(s.load_partial(target), shifted, aligned);
            }
            let sum = s.sum(sum);
            let scale = self.weight.map_or(1.0, |weight| weight[row]) / rows as f32;
            let per_sum = s.splat(1.0 / sum);
            for (target, gradient) in target.chunks(LANES).zip(dlogits.chunks_mut(LANES)) {
                let difference = s.sub(s.mul(s.load_partial(gradient), per_sum), s.load_partial(target));
                s.store_partial(gradient, s.mul(difference, s.splat(scale)));
            }
            *row_loss = sum.ln() - s.sum(aligned);
        }
    }
}
