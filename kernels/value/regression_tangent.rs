//! How the gradient of a regression moves with the predictions.

use super::Criterion;
use crate::elementwise::grid;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// The tangent of the gradient of [`Regression`](super::Regression) without weights, for predictions that move along
/// `predicted_tangent` while their targets stay:
///
/// ```text
/// dpredicted_tangent = curvature(target - predicted) predicted_tangent / len
/// ```
///
/// with [`Criterion::curvature`]. Buffers: predicted, target, predicted_tangent (read), dpredicted_tangent (written), `len`
/// words each.
#[derive(Clone, Copy, Debug)]
pub struct RegressionTangent {
    /// Predictions of the batch, N D.
    pub len: usize,
    /// The loss of an error.
    pub criterion: Criterion,
}

/// Elements of a task: fewer are not worth waking another thread.
const TASK: usize = 16_384;

impl Kernel for RegressionTangent {
    fn name(&self) -> &'static str {
        "value/regression_tangent"
    }
    fn shape(&self) -> String {
        format!("{} {}", self.len, self.criterion)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("predicted", self.len),
            Binding::read("target", self.len),
            Binding::read("predicted_tangent", self.len),
            Binding::write("dpredicted_tangent", self.len),
        ]
    }
    fn cost(&self) -> Cost {
        Cost { flops: 3 * self.len as u64, bytes: 16 * self.len as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let (number, parameter) = self.criterion.in_wgsl();
        let share = (1.0 / self.len as f32).to_bits();
        let windowed: Vec<_> = (0..4).map(|buffer| (buffer, 1)).collect();
        in_windows(self.len, &windowed, gpu, |window| {
            vec![Dispatch {
                label: self.name().into(),
                source: include_str!("regression_tangent.wgsl").into(),
                constants: vec![("criterion_kind", number)],
                bindings: vec![(0, Read), (1, Read), (2, Read), (3, ReadWrite)],
                immediates: vec![window.len() as u32, parameter, share],
                clock: false,
                grid: grid(window.len()),
                windows: Vec::new(),
            }]
        })
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([predicted, target, tangent, to], _) = args.split();
        let (predicted, target, tangent) = (predicted.f32(), target.f32(), tangent.f32());
        let share = 1.0 / self.len as f32;
        cpu.threads.chunks_mut(to.f32_mut(), TASK, &|index, to| {
            for (i, to) in (index * TASK..).zip(to) {
                *to = self.criterion.curvature(target[i] - predicted[i]) * share * tangent[i];
            }
        });
    }
}
