//! Scalars as distributions over bins.

use super::{Support, around};
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// `distribution[N, B]` of scalars `target[N]`: the two bins around a target share 1 so that their mean is the target,
/// clipped to the support.
///
/// ```text
/// place           = clip((target - smallest) / Δ, 0, B - 1)        l = min(floor(place), B - 2)
/// distribution[l] = 1 - (place - l)      distribution[l + 1] = place - l      zero elsewhere
/// ```
///
/// A target that is not finite makes its row NaN.
#[derive(Clone, Copy, Debug)]
pub struct TwoHot {
    /// Targets, N.
    pub rows: usize,
    /// The values of the bins.
    pub support: Support,
}

impl Kernel for TwoHot {
    fn name(&self) -> &'static str {
        "categorical/two_hot"
    }
    fn shape(&self) -> String {
        format!("{} into {}", self.rows, self.support)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("target", self.rows),
            Binding::write("distribution", words([self.rows, self.support.bins])),
        ]
    }
    fn cost(&self) -> Cost {
        let rows = self.rows as u64;
        Cost { flops: 6 * rows, bytes: 4 * (rows + rows * self.support.bins as u64) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        let sizes = [self.rows as u32, self.support.bins as u32];
        vec![Dispatch {
            label: "categorical/two_hot".into(),
            source: include_str!("two_hot.wgsl").into(),
            constants: Vec::new(),
            bindings: vec![(0, Access::Read), (1, Access::ReadWrite)],
            immediates: [&sizes[..], &self.support.in_wgsl(), &[f32::NAN.to_bits()]].concat(),
            clock: false,
            grid: crate::value::grid(self.rows),
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([target, distribution], _) = args.split();
        let (target, distribution) = (target.f32(), Parts::new(distribution.f32_mut()));
        let bins = self.support.bins;
        cpu.over_rows(self.rows, bins, |part| {
            // SAFETY: every row belongs to one task.
            let distribution = unsafe { distribution.part(part.start * bins..part.end * bins) };
            for (&target, row) in target[part].iter().zip(distribution.chunks_exact_mut(bins)) {
                let place = self.support.place(target);
                if place.is_nan() {
                    row.fill(f32::NAN);
                    continue;
                }
                let (lower, share) = around(place, bins);
                row.fill(0.0);
                (row[lower], row[lower + 1]) = (1.0 - share, share);
            }
        });
    }
}
