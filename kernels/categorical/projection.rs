//! The distribution of a return, brought back to the bins.

use super::softmax::{self, exponentials, largest};
use super::{Support, around, grid};
use crate::simd::{LANES, Simd, Vectorised};
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// The target distributions `[N, B]` of transitions, from logits `[N, A, B]` of the states they lead to and the actions
/// `[N]` that are taken there (the greedy ones of the target network, or in double Q-learning of the online one):
///
/// ```text
/// p               = softmax(next_logits[next_action])
/// x_j             = clip(reward + discount z_j, smallest, largest)
/// distribution[b] = Σ_j p_j max(0, 1 - |x_j - z_b| / Δ)
/// ```
///
/// Buffers: next_logits, next_action, reward `[N]`, discount `[N]` (as [`crate::value::TdTarget`] takes it), distribution. A
/// transition whose discount is 0 is the two-hot of its reward: its logits and its action are not looked at. Otherwise a
/// logit of the action that is not finite, or an action that is none, makes the row NaN; a reward or a discount that is not
/// finite always does.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    /// Transitions of the batch, N.
    pub rows: usize,
    /// Actions, A.
    pub actions: usize,
    /// The values of the bins.
    pub support: Support,
}

impl Kernel for Projection {
    fn name(&self) -> &'static str {
        "categorical/projection"
    }
    fn shape(&self) -> String {
        let Projection { rows, actions, support } = self;
        format!("{rows}x{actions} {support}")
    }
    fn bindings(&self) -> Vec<Binding> {
        let bins = self.support.bins;
        vec![
            Binding::read("next_logits", words([self.rows, self.actions, bins])),
            Binding::read("next_action", self.rows).integers(),
            Binding::read("reward", self.rows),
            Binding::read("discount", self.rows),
            Binding::write("distribution", words([self.rows, bins])),
        ]
    }
    fn cost(&self) -> Cost {
        let (all, rows) = ((self.rows * self.support.bins) as u64, self.rows as u64);
        // Maximum, difference, exponential (counted as one), sum, place, two shares, scale.
        Cost { flops: 14 * all, bytes: 4 * (2 * all + 3 * rows) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let sizes = [self.rows, self.actions, self.support.bins].map(|n| n as u32);
        vec![Dispatch {
            label: "categorical/projection".into(),
            source: [softmax::WGSL, include_str!("projection.wgsl")].concat().into(),
            constants: Vec::new(),
            bindings: vec![(0, Read), (1, Read), (2, Read), (3, Read), (4, ReadWrite)],
            immediates: [&sizes[..], &self.support.in_wgsl(), &[f32::NAN.to_bits()]].concat(),
            clock: false,
            grid: grid(self.rows),
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([next_logits, next_action, reward, discount, distribution], _) = args.split();
        let (next_logits, next_action) = (next_logits.f32(), next_action.u32());
        let (reward, discount) = (reward.f32(), discount.f32());
        let distribution = Parts::new(distribution.f32_mut());
        let (actions, bins) = (self.actions, self.support.bins);
        cpu.over_rows(self.rows, bins, |part| {
            // SAFETY: every row belongs to one task.
            let distribution = unsafe { distribution.part(part.start * bins..part.end * bins) };
            for (row, distribution) in part.zip(distribution.chunks_exact_mut(bins)) {
                let action = next_action[row] as usize;
                let logits =
                    (action < actions).then(|| &next_logits[(row * actions + action) * bins..][..bins]);
                let (reward, discount) = (reward[row], discount[row]);
                distribution.fill(0.0);
                let valid = if discount == 0.0 {
                    add(self.support, reward, 1.0, distribution)
                } else {
                    let most = logits.and_then(largest);
                    logits.zip(most).is_some_and(|(logits, largest)| {
                        let support = self.support;
                        cpu.isa.run(Row { support, discount, logits, largest, reward, distribution })
                    })
                };
                if !valid {
                    distribution.fill(f32::NAN);
                }
            }
        });
    }
}

/// Shares mass between the bins around a value; false if it is not finite.
#[inline(always)]
fn add(support: Support, value: f32, mass: f32, distribution: &mut [f32]) -> bool {
    let place = support.place(value);
    if place.is_nan() {
        return false;
    }
    let (lower, share) = around(place, support.bins);
    distribution[lower] += mass * (1.0 - share);
    distribution[lower + 1] += mass * share;
    true
}

/// A row that goes on.
struct Row<'a> {
    support: Support,
    discount: f32,
    logits: &'a [f32],
    largest: f32,
    reward: f32,
    distribution: &'a mut [f32],
}

impl Vectorised for Row<'_> {
    /// Whether all values are finite.
    type Output = bool;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> bool {
        let (smallest, spacing) = (self.support.smallest as f32, self.support.spacing() as f32);
        let mut sum = s.splat(0.0);
        let mut valid = true;
        for (index, part) in self.logits.chunks(LANES).enumerate() {
            let e = exponentials(s, part, self.largest);
            sum = s.add(sum, e);
            let masses = s.lanes(e);
            for (lane, &mass) in masses[..part.len()].iter().enumerate() {
                let value =
                    self.reward + self.discount * (smallest + spacing * (index * LANES + lane) as f32);
                valid &= add(self.support, value, mass, self.distribution);
            }
        }
        let scale = 1.0 / s.sum(sum);
        self.distribution.iter_mut().for_each(|mass| *mass *= scale);
        valid
    }
}
