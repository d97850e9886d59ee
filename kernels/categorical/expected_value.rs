//! The mean of a distribution over bins.

use super::softmax::{self, exponentials, largest};
use super::{Support, grid};
use crate::simd::{LANES, Simd, Vectorised};
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// `value[R] = Σ_b softmax(logits[R, B])_b z_b`: of logits `[N, A, B]` the values q `[N, A]`, with R = N A rows. A logit
/// that is not finite makes the value of its row NaN.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedValue {
    /// Distributions, R.
    pub rows: usize,
    /// The values of the bins.
    pub support: Support,
}

impl Kernel for ExpectedValue {
    fn name(&self) -> &'static str {
        "categorical/expected_value"
    }
    fn shape(&self) -> String {
        format!("{} of {}", self.rows, self.support)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("logits", words([self.rows, self.support.bins])),
            Binding::write("value", self.rows),
        ]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.support.bins) as u64;
        // Maximum, difference, exponential (counted as one), two sums.
        Cost { flops: 6 * all, bytes: 4 * (all + self.rows as u64) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        let Support { bins, smallest, .. } = self.support;
        let values = [smallest as f32, self.support.spacing() as f32, f32::NAN].map(f32::to_bits);
        vec![Dispatch {
            label: "categorical/expected_value".into(),
            source: [softmax::WGSL, include_str!("expected_value.wgsl")].concat().into(),
            constants: Vec::new(),
            bindings: vec![(0, Access::Read), (1, Access::ReadWrite)],
            immediates: [self.rows as u32, bins as u32].into_iter().chain(values).collect(),
            clock: false,
            grid: grid(self.rows),
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([logits, value], _) = args.split();
        let (logits, value) = (logits.f32(), Parts::new(value.f32_mut()));
        let bins = self.support.bins;
        cpu.over_rows(self.rows, bins, |part| {
            // SAFETY: every row belongs to one task.
            let value = unsafe { value.part(part.clone()) };
            let logits = &logits[part.start * bins..part.end * bins];
            cpu.isa.run(Rows { support: self.support, logits, value });
        });
    }
}

/// The rows of a task.
struct Rows<'a> {
    support: Support,
    logits: &'a [f32],
    value: &'a mut [f32],
}

impl Vectorised for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (smallest, spacing) = (self.support.smallest as f32, self.support.spacing() as f32);
        let lane_bins = s.load(&std::array::from_fn(|lane| lane as f32));
        for (logits, value) in self.logits.chunks_exact(self.support.bins).zip(self.value) {
            let Some(largest) = largest(logits) else {
                *value = f32::NAN;
                continue;
            };
            let (mut sum, mut places) = (s.splat(0.0), s.splat(0.0));
            for (index, part) in logits.chunks(LANES).enumerate() {
                let e = exponentials(s, part, largest);
                sum = s.add(sum, e);
                places = s.fma(e, s.add(lane_bins, s.splat((index * LANES) as f32)), places);
            }
            *value = smallest + spacing * (s.sum(places) / s.sum(sum));
        }
    }
}
