//! Which transitions make a batch.

use super::grid;
use crate::kernel::CLOCK_WGSL;
use crate::random::{self, pcg4d, stream, uniform_index};
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Draws `index[batch]`, slots of the ring that hold a transition, uniformly and with replacement, by seed and
/// `clock.step`. As long as nothing was appended all are 0.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Transitions to draw.
    pub batch: usize,
    /// Transitions that the ring holds.
    pub capacity: usize,
}

impl Kernel for Draw {
    fn name(&self) -> &'static str {
        "replay/draw"
    }
    fn shape(&self) -> String {
        format!("{} of {}", self.batch, self.capacity)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::write("index", self.batch).integers()]
    }
    /// The integer arithmetic of the generator is not counted.
    fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: 4 * self.batch as u64 }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        vec![Dispatch {
            label: "replay/draw".into(),
            source: [CLOCK_WGSL, &random::wgsl(), include_str!("draw.wgsl")].concat().into(),
            constants: Vec::new(),
            bindings: vec![(0, Access::ReadWrite)],
            immediates: vec![self.batch as u32, self.capacity as u32, stream::REPLAY],
            clock: true,
            grid: grid(self.batch),
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, _cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([index], _) = args.split();
        let len = clock.appended.min(self.capacity as u32);
        for (i, index) in (0..).zip(index.u32_mut()) {
            *index = uniform_index(pcg4d([i, clock.step, stream::REPLAY, clock.seed])[0], len);
        }
    }
}
