//! The loss of the action that was taken.

use super::{Criterion, criterion, grid};
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// The loss of q `[N, A]` at the actions `[N]` that were taken, against targets `[N]`, and its gradient:
///
/// ```text
/// td_error   = target - q[action]
/// row_loss   = criterion(td_error)
/// dq[action] = -weight criterion'(td_error) / N, zero elsewhere        the gradient of mean(weight row_loss)
/// ```
///
/// Buffers: q, action, target, dq, row_loss, td_error, and weight `[N]` if there are weights. An action that is none, and
/// an error that is not finite, make all three results of the row NaN. The values of other actions are not looked at.
#[derive(Clone, Copy, Debug)]
pub struct TdLoss {
    /// Transitions of the batch, N.
    pub rows: usize,
    /// Actions, A.
    pub actions: usize,
    /// The loss of an error.
    pub criterion: Criterion,
    /// Whether every row has an importance weight.
    pub weighted: bool,
}

impl Kernel for TdLoss {
    fn name(&self) -> &'static str {
        "value/td_loss"
    }
    fn shape(&self) -> String {
        let weighted = if self.weighted { " weighted" } else { "" };
        format!("{}x{} {}{weighted}", self.rows, self.actions, self.criterion)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.actions]);
        let mut bindings = vec![
            Binding::read("q", all),
            Binding::read("action", self.rows).integers(),
            Binding::read("target", self.rows),
            Binding::write("dq", all),
            Binding::write("row_loss", self.rows),
            Binding::write("td_error", self.rows),
        ];
        bindings.extend(self.weighted.then(|| Binding::read("weight", self.rows)));
        bindings
    }
    /// One value of each row is read, all gradients are written.
    fn cost(&self) -> Cost {
        let (all, rows) = ((self.rows * self.actions) as u64, self.rows as u64);
        Cost { flops: 6 * rows, bytes: 4 * (all + (5 + u64::from(self.weighted)) * rows) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let (number, parameter) = self.criterion.in_wgsl();
        let source = crate::template::expand(include_str!("td_loss.wgsl"), &[("WEIGHTED", &self.weighted)]);
        let mut bindings =
            vec![(0, Read), (1, Read), (2, Read), (3, ReadWrite), (4, ReadWrite), (5, ReadWrite)];
        bindings.extend(self.weighted.then_some((6, Read)));
        vec![Dispatch {
            label: "value/td_loss".into(),
            source: [criterion::WGSL, &source].concat().into(),
            constants: vec![("criterion_kind", number)],
            bindings,
            immediates: vec![self.rows as u32, self.actions as u32, parameter, f32::NAN.to_bits()],
            clock: false,
            grid: grid(self.rows),
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let TdLoss { rows, actions, criterion, .. } = *self;
        let (mut args, _) = args.each();
        let mut next = || args.next().expect("as many buffers as declared");
        let (q, action, target) = (next().f32(), next().u32(), next().f32());
        let dq = Parts::new(next().f32_mut());
        let row_loss = Parts::new(next().f32_mut());
        let td_error = Parts::new(next().f32_mut());
        let weight = args.next().map(|weight| weight.f32());
        cpu.over_rows(rows, actions, |part| {
            // SAFETY: every row belongs to one task.
            let (dq, row_loss, td_error) = unsafe {
                let all = part.start * actions..part.end * actions;
                (dq.part(all), row_loss.part(part.clone()), td_error.part(part.clone()))
            };
            let results = dq.chunks_exact_mut(actions).zip(row_loss).zip(td_error);
            for (row, ((dq, row_loss), td_error)) in part.zip(results) {
                let action = action[row] as usize;
                let error = if action < actions { target[row] - q[row * actions + action] } else { f32::NAN };
                if !error.is_finite() {
                    dq.fill(f32::NAN);
                    (*row_loss, *td_error) = (f32::NAN, f32::NAN);
                    continue;
                }
                let (loss, slope) = criterion.of(error);
                dq.fill(0.0);
                dq[action] = -weight.map_or(1.0, |weight| weight[row]) * slope / rows as f32;
                (*row_loss, *td_error) = (loss, error);
            }
        });
    }
}
