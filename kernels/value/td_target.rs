//! What the value of a taken action should be.

use super::greedy_action::{self, greedy};
use super::grid;
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// The targets `[N]` of transitions, from the values of the states they lead to:
///
/// ```text
/// target    = reward + discount bootstrap
/// bootstrap = max_a next_q[a], or with double Q-learning next_q[argmax_a selector_q[a]]
/// ```
///
/// Buffers: next_q `[N, A]` of the target network, reward `[N]`, discount `[N]` (0 where the task was over, else the
/// discount per step to the power of the steps whose rewards `reward` is the discounted sum of), target `[N]`, and with
/// double Q-learning selector_q `[N, A]` of the online network. Terminated is not truncated: an episode that was cut off
/// goes on in the bootstrap. With one action next_q is the value of a state.
///
/// A NaN among the values of a row makes its target NaN, unless the discount is 0: then its values are not looked at.
#[derive(Clone, Copy, Debug)]
pub struct TdTarget {
    /// Transitions of the batch, N.
    pub rows: usize,
    /// Actions, A.
    pub actions: usize,
    /// Whether the online network selects the action.
    pub double: bool,
}

impl Kernel for TdTarget {
    fn name(&self) -> &'static str {
        "value/td_target"
    }
    fn shape(&self) -> String {
        let TdTarget { rows, actions, double } = self;
        format!("{rows}x{actions}{}", if *double { " double" } else { "" })
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.actions]);
        let mut bindings = vec![
            Binding::read("next_q", all),
            Binding::read("reward", self.rows),
            Binding::read("discount", self.rows),
            Binding::write("target", self.rows),
        ];
        bindings.extend(self.double.then(|| Binding::read("selector_q", all)));
        bindings
    }
    fn cost(&self) -> Cost {
        let (all, rows) = ((self.rows * self.actions) as u64, self.rows as u64);
        Cost { flops: all + 2 * rows, bytes: 4 * ((1 + u64::from(self.double)) * all + 3 * rows) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let source = crate::template::expand(include_str!("td_target.wgsl"), &[("DOUBLE", &self.double)]);
        let mut bindings = vec![(0, Read), (1, Read), (2, Read), (3, ReadWrite)];
        bindings.extend(self.double.then_some((4, Read)));
        vec![Dispatch {
            label: "value/td_target".into(),
            source: [greedy_action::WGSL, &source].concat().into(),
            constants: Vec::new(),
            bindings,
            immediates: vec![self.rows as u32, self.actions as u32, f32::NAN.to_bits()],
            clock: false,
            grid: grid(self.rows),
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let (mut args, _) = args.each();
        let mut next = || args.next().expect("as many buffers as declared");
        let (next_q, reward, discount) = (next().f32(), next().f32(), next().f32());
        let target = Parts::new(next().f32_mut());
        let selector_q = args.next().map_or(next_q, |selector_q| selector_q.f32());
        cpu.over_rows(self.rows, self.actions, |part| {
            // SAFETY: every row belongs to one task.
            let target = unsafe { target.part(part.clone()) };
            for (target, row) in target.iter_mut().zip(part) {
                *target = reward[row];
                if discount[row] != 0.0 {
                    let discount = discount[row];
                    let row = row * self.actions..(row + 1) * self.actions;
                    let (next_q, selector_q) = (&next_q[row.clone()], &selector_q[row]);
                    let nan = next_q.iter().chain(selector_q).any(|value| value.is_nan());
                    let bootstrap = discount * next_q[greedy(selector_q)];
                    *target = if nan { f32::NAN } else { *target + bootstrap };
                }
            }
        });
    }
}
