//! The loss of predictions that all have a target.

use super::{Criterion, criterion};
use crate::size::words;
use crate::threads::Parts;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// The loss of predictions `[N, D]` against targets `[N, D]`, and its gradient:
///
/// ```text
/// error      = target - predicted
/// row_loss   = mean over the columns of criterion(error)
/// dpredicted = -weight criterion'(error) / (N D)                       the gradient of mean(weight row_loss)
/// ```
///
/// Buffers: predicted, target, dpredicted, row_loss `[N]`, and weight `[N]` if there are weights. An error that is not
/// finite makes its gradient and the loss of its row NaN.
#[derive(Clone, Copy, Debug)]
pub struct Regression {
    /// Examples of the batch, N.
    pub rows: usize,
    /// Predictions for each, D.
    pub columns: usize,
    /// The loss of an error.
    pub criterion: Criterion,
    /// Whether every row has an importance weight.
    pub weighted: bool,
}

/// Up to this many columns one thread takes a whole row on the GPU.
const THREAD_COLUMNS: usize = 32;
/// Threads of a workgroup, which one row or as many rows share.
const THREADS: usize = 64;

impl Kernel for Regression {
    fn name(&self) -> &'static str {
        "value/regression"
    }
    fn shape(&self) -> String {
        let weighted = if self.weighted { " weighted" } else { "" };
        format!("{}x{} {}{weighted}", self.rows, self.columns, self.criterion)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.columns]);
        let mut bindings = vec![
            Binding::read("predicted", all),
            Binding::read("target", all),
            Binding::write("dpredicted", all),
            Binding::write("row_loss", self.rows),
        ];
        bindings.extend(self.weighted.then(|| Binding::read("weight", self.rows)));
        bindings
    }
    fn cost(&self) -> Cost {
        let (all, rows) = ((self.rows * self.columns) as u64, self.rows as u64);
        Cost { flops: 6 * all, bytes: 4 * (3 * all + (1 + u64::from(self.weighted)) * rows) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let (number, parameter) = self.criterion.in_wgsl();
        let lanes = if self.columns <= THREAD_COLUMNS { 1 } else { THREADS };
        let groups = self.rows.div_ceil(THREADS / lanes).min(65_535) as u32;
        let source =
            crate::template::expand(include_str!("regression.wgsl"), &[("WEIGHTED", &self.weighted)]);
        let mut bindings = vec![(0, Read), (1, Read), (2, ReadWrite), (3, ReadWrite)];
        bindings.extend(self.weighted.then_some((4, Read)));
        vec![Dispatch {
            label: format!("value/regression {lanes} threads per row").into(),
            source: [criterion::WGSL, &source].concat().into(),
            constants: vec![("criterion_kind", number), ("lanes", lanes as f64)],
            bindings,
            immediates: vec![self.rows as u32, self.columns as u32, parameter, f32::NAN.to_bits()],
            clock: false,
            grid: [groups, 1, 1],
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let Regression { rows, columns, criterion, .. } = *self;
        let (mut args, _) = args.each();
        let mut next = || args.next().expect("as many buffers as declared");
        let (predicted, target) = (next().f32(), next().f32());
        let dpredicted = Parts::new(next().f32_mut());
        let row_loss = Parts::new(next().f32_mut());
        let weight = args.next().map(|weight| weight.f32());
        cpu.over_rows(rows, columns, |part| {
            let all = part.start * columns..part.end * columns;
            // SAFETY: every row belongs to one task.
            let (dpredicted, row_loss) =
                unsafe { (dpredicted.part(all.clone()), row_loss.part(part.clone())) };
            let pairs = predicted[all.clone()].chunks_exact(columns).zip(target[all].chunks_exact(columns));
            let written = dpredicted.chunks_exact_mut(columns).zip(row_loss);
            for ((row, (predicted, target)), (dpredicted, row_loss)) in part.zip(pairs).zip(written) {
                let scale = -weight.map_or(1.0, |weight| weight[row]) / (rows * columns) as f32;
                let mut sum = 0.0;
                for ((&predicted, &target), gradient) in predicted.iter().zip(target).zip(dpredicted) {
                    let error = target - predicted;
                    let (loss, slope) = criterion.of(error);
                    let finite = error.is_finite();
                    *gradient = if finite { scale * slope } else { f32::NAN };
                    sum += if finite { f64::from(loss) } else { f64::NAN };
                }
                *row_loss = (sum / columns as f64) as f32;
            }
        });
    }
}
