//! Dropout (Srivastava et al., 2014), inverted as in PyTorch: what is kept is scaled up while training.
//!
//! ```text
//! y[i] = x[i] / (1 - rate) if mask[i], else 0
//! mask[i] = unit(pcg4d(i / 4, step, DROPOUT + layer, seed)[i % 4]) >= rate
//! ```
//!
//! The gradient is the same map, `dx = dy / (1 - rate)` where kept: the same kernel run on dy with the same clock. The
//! mask is drawn again from the counter instead of being stored, and is the same on both devices and after a resume
//! (`random.rs`). What is dropped is 0 even if x is not finite; with `rate = 1` all is.

use crate::kernel::CLOCK_WGSL;
use crate::random;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

mod cases;
mod cpu;
pub(crate) mod mask;

pub use cases::cases;
pub use mask::Mask;

/// Dropout, and its gradient. It needs the clock: the mask depends on step and seed.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Number of elements.
    pub len: usize,
    /// Probability of dropping an element, in [0, 1].
    pub rate: f32,
    /// Number of the layer: each has its own random stream.
    pub layer: u32,
}

impl Dropout {
    fn mask(&self) -> Mask {
        Mask { rate: self.rate, layer: self.layer }
    }
}

impl Kernel for Dropout {
    fn name(&self) -> &'static str {
        "dropout/dropout"
    }
    fn shape(&self) -> String {
        format!("{} rate {}", self.len, self.rate)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", self.len), Binding::write("y", self.len)]
    }
    fn cost(&self) -> Cost {
        // The integer arithmetic of the generator is not counted.
        Cost { flops: self.len as u64, bytes: 8 * self.len as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        in_windows(self.len, &[(0, 1), (1, 1)], gpu, |window| {
            let [stream, rate, scale] = self.mask().immediates();
            let [len, first] = [window.len(), window.start / 4].map(|n| n as u32);
            vec![Dispatch {
                label: "dropout/dropout".into(),
                source: [CLOCK_WGSL, &random::wgsl(), include_str!("dropout.wgsl")].concat().into(),
                constants: Vec::new(),
                bindings: vec![(0, Access::Read), (1, Access::ReadWrite)],
                immediates: vec![len, first, stream, rate, scale],
                clock: true,
                grid: crate::elementwise::grid(window.len()),
                windows: Vec::new(),
            }]
        })
    }
    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        cpu::dropout(self, cpu, clock, args);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(cases());
    }

    /// What is kept of 40,000 ones.
    fn kept(layer: u32, step: u32, seed: u32) -> Vec<bool> {
        let kernel = Dropout { len: 40_000, rate: 0.25, layer };
        let x = vec![1f32.to_bits(); kernel.len];
        let mut y = vec![0; kernel.len];
        let clock = Clock { seed, step, ..Clock::default() };
        let args = [crate::Arg::Read(&x), crate::Arg::Write(&mut y)];
        crate::run(&kernel, &Cpu::new(1).unwrap(), &clock, args, &mut []).unwrap();
        y.iter().map(|&word| word != 0).collect()
    }

    #[test]
    fn layers_steps_and_seeds_draw_independent_masks_of_the_right_rate() {
        let first = kept(0, 0, 0);
        let count = first.iter().filter(|&&kept| kept).count();
        assert!(count.abs_diff(30_000) < 400, "{count} of 40,000 kept at rate 0.25");
        for other in [kept(1, 0, 0), kept(0, 1, 0), kept(0, 0, 1)] {
            // Independent masks agree on 0.75² + 0.25² of the elements.
            let equal = first.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(equal.abs_diff(25_000) < 500, "{equal} of 40,000 equal");
        }
    }
}
