//! The record of an update.

use super::greedy_action::{WGSL, greedy};
use crate::kernel::CLOCK_WGSL;
use crate::size::words;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Writes what a batch says about an update into row `clock.slot` of a ring of metrics `[ring_rows, words]`: word 0 is the
/// mean of row_loss `[rows]`, word 1 the mean of `max_a q[N, A]`. The other words of the row, and all other rows, stay as
/// they are; a slot outside the ring is not written.
#[derive(Clone, Copy, Debug)]
pub struct RecordValues {
    /// States, N.
    pub rows: usize,
    /// Actions, A.
    pub actions: usize,
    /// Rows of the ring.
    pub ring_rows: usize,
    /// Words per row of the ring, at least 2.
    pub words: usize,
}

impl Kernel for RecordValues {
    fn name(&self) -> &'static str {
        "value/record"
    }
    fn shape(&self) -> String {
        format!("{}x{} into {}x{}", self.rows, self.actions, self.ring_rows, self.words)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("row_loss", self.rows),
            Binding::read("q", words([self.rows, self.actions])),
            Binding::read_write("ring", words([self.ring_rows, self.words])),
        ]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * (self.actions + 1)) as u64;
        Cost { flops: all, bytes: 4 * (all + 2) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        vec![Dispatch {
            label: "value/record".into(),
            source: [CLOCK_WGSL, WGSL, include_str!("record.wgsl")].concat().into(),
            constants: Vec::new(),
            bindings: vec![(0, Access::Read), (1, Access::Read), (2, Access::ReadWrite)],
            immediates: [self.rows, self.actions, self.ring_rows, self.words].map(|n| n as u32).to_vec(),
            clock: true,
            grid: [1, 1, 1],
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, _cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([loss, q, ring], _) = args.split();
        let mean = |values: &mut dyn Iterator<Item = f32>| {
            (values.map(f64::from).sum::<f64>() / self.rows as f64) as f32
        };
        let slot = clock.slot as usize;
        if slot < self.ring_rows {
            let row = &mut ring.f32_mut()[slot * self.words..][..self.words];
            row[0] = mean(&mut loss.f32().iter().copied());
            row[1] = mean(&mut q.f32().chunks_exact(self.actions).map(|q| q[greedy(q)]));
        }
    }
}
