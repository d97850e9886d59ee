//! The action of the largest value.

use super::grid;
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// WGSL text of `beats` and `is_nan`.
pub(super) const WGSL: &str = include_str!("greedy.wgsl");

/// The lowest index of the largest value; a NaN only where all are.
#[inline]
pub(super) fn greedy(q: &[f32]) -> usize {
    let beats = |k: usize, best: usize| !q[k].is_nan() && (q[best].is_nan() || q[k] > q[best]);
    (1..q.len()).fold(0, |best, k| if beats(k, best) { k } else { best })
}

/// `action[N] = argmax_a q[N, A]`: the lowest action of the largest value. A NaN never wins, unless all are NaN: action
/// 0.
#[derive(Clone, Copy, Debug)]
pub struct GreedyAction {
    /// States, N.
    pub rows: usize,
    /// Actions, A.
    pub actions: usize,
}

impl Kernel for GreedyAction {
    fn name(&self) -> &'static str {
        "value/greedy_action"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.actions)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("q", words([self.rows, self.actions])),
            Binding::write("action", self.rows).integers(),
        ]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.actions) as u64;
        Cost { flops: all, bytes: 4 * (all + self.rows as u64) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        vec![Dispatch {
            label: "value/greedy_action".into(),
            source: [WGSL, include_str!("greedy_action.wgsl")].concat().into(),
            constants: Vec::new(),
            bindings: vec![(0, Access::Read), (1, Access::ReadWrite)],
            immediates: vec![self.rows as u32, self.actions as u32],
            clock: false,
            grid: grid(self.rows),
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([q, action], _) = args.split();
        let (q, action) = (q.f32(), Parts::new(action.u32_mut()));
        cpu.over_rows(self.rows, self.actions, |part| {
            // SAFETY: every row belongs to one task.
            let action = unsafe { action.part(part.clone()) };
            for (action, row) in action.iter_mut().zip(part) {
                *action = greedy(&q[row * self.actions..][..self.actions]) as u32;
            }
        });
    }
}
