//! The gradients' declaration: buffers, cost, launches.

use super::cpu_backward::{self, Buffers};
use super::{images, partial_words, shape};
use crate::kernel::SCRATCH;
use crate::reduce::columns::Columns;
use crate::size::words;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};
use std::fmt::Display;

/// Gradients of [`BatchNormForward`](super::BatchNormForward).
///
/// Buffers: x, y if there is a ReLU, weight, saved, dy, dx if there is a residual, dweight, dbias. Without a residual dy
/// becomes dx in place. With one it becomes dz, the gradient of the residual; that is dy itself if there is no ReLU.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormBackward {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
    /// Whether ReLU followed: dy counts only where y > 0.
    pub relu: bool,
    /// Whether a residual was added, before the ReLU.
    pub residual: bool,
}

/// Where each buffer lies among the bindings.
pub(super) struct Places {
    pub(super) y: Option<usize>,
    pub(super) weight: usize,
    pub(super) saved: usize,
    pub(super) dy: usize,
    pub(super) dx: Option<usize>,
    pub(super) dweight: usize,
    pub(super) dbias: usize,
}

impl Places {
    pub(super) fn of(relu: bool, residual: bool) -> Self {
        let (y, dx) = (usize::from(relu), usize::from(residual));
        Self {
            y: relu.then_some(1),
            weight: 1 + y,
            saved: 2 + y,
            dy: 3 + y,
            dx: residual.then_some(4 + y),
            dweight: 4 + y + dx,
            dbias: 5 + y + dx,
        }
    }
}

/// Whether dy changes: only a residual without ReLU takes it as it is.
pub(super) fn writes_dy(relu: bool, residual: bool) -> bool {
    relu || !residual
}

/// The buffers, with one gradient of the parameters for each group of rows.
pub(super) fn bindings([rows, c, groups]: [usize; 3], relu: bool, residual: bool) -> Vec<Binding> {
    let all = words([rows, c]);
    let mut bindings = vec![Binding::read("x", all)];
    bindings.extend(relu.then(|| Binding::read("y", all)));
    bindings.extend([Binding::read("weight", c), Binding::read("saved", words([2, c]))]);
    bindings.push(match writes_dy(relu, residual) {
        true => Binding::read_write("dy", all),
        false => Binding::read("dy", all),
    });
    bindings.extend(residual.then(|| Binding::write("dx", all)));
    bindings.extend(["dweight", "dbias"].map(|name| Binding::write(name, words([groups, c]))));
    bindings
}

/// The launch that adds up the sums of all chunks, `[chunks, 2, C]` in scratch memory.
pub(super) fn merge(cut: &Columns, [dweight, dbias]: [usize; 2]) -> Dispatch {
    let [x, _, z] = cut.grid();
    Dispatch {
        label: "batch_norm/backward merge".into(),
        source: cut.source(
            &[
                include_str!("sums.wgsl"),
                include_str!("sum_chunks.wgsl"),
                include_str!("backward_merge.wgsl"),
            ],
            &[],
        ),
        constants: vec![("WIDTH", f64::from(cut.width()))],
        bindings: vec![(SCRATCH, Access::Read), (dweight, Access::ReadWrite), (dbias, Access::ReadWrite)],
        immediates: vec![cut.units(), cut.chunks as u32],
        clock: false,
        grid: [x, 1, z],
        windows: Vec::new(),
    }
}

impl Kernel for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm/backward"
    }
    fn shape(&self) -> String {
        shape(self.rows, self.channels, self.relu, self.residual)
    }
    fn bindings(&self) -> Vec<Binding> {
        bindings([self.rows, self.channels, 1], self.relu, self.residual)
    }
    fn cost(&self) -> Cost {
        let (all, c) = ((self.rows * self.channels) as u64, self.channels as u64);
        // Sums: 5. dx: 6. x and dy are read twice, and dx written; behind ReLU y is read twice, or, where dz stays, read
        // once and dz written.
        let passes = if self.relu { 7 } else { 5 };
        Cost { flops: (11 + 2 * u64::from(self.relu)) * all + 4 * c, bytes: 4 * (passes * all + 5 * c) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let cut = Columns::new(self.rows, self.channels);
        let (rows, units) = (self.rows as u32, cut.units());
        let width = ("WIDTH", f64::from(cut.width()));
        let sums = include_str!("sums.wgsl");
        let Places { y, weight, saved, dy, dx, dweight, dbias } = Places::of(self.relu, self.residual);
        // The pass for the sums masks dy in place only where dz is wanted.
        let masks = self.relu && self.residual;
        let values: [(&str, &dyn Display); 3] =
            [("RELU", &self.relu), ("RESIDUAL", &self.residual), ("MASKS", &masks)];
        let read = |buffer: Option<usize>| buffer.map(|buffer| (buffer, Read));
        let write = |buffer: Option<usize>| buffer.map(|buffer| (buffer, ReadWrite));
        let changed = |changes: bool| (dy, if changes { ReadWrite } else { Read });
        if cut.whole() {
            let mut bindings = vec![(0, Read), (weight, Read), (saved, Read)];
            bindings.extend([
                (dweight, ReadWrite),
                (dbias, ReadWrite),
                changed(writes_dy(self.relu, self.residual)),
            ]);
            bindings.extend(write(dx).into_iter().chain(read(y)));
            return vec![Dispatch {
                label: "batch_norm/backward".into(),
                source: cut.source(&[sums, include_str!("backward_whole.wgsl")], &values),
                constants: vec![width],
                bindings,
                immediates: vec![rows, units],
                clock: false,
                grid: cut.grid(),
                windows: Vec::new(),
            }];
        }
        let [x, _, z] = cut.grid();
        let to_sum = [(0, Read), (saved, Read), (SCRATCH, ReadWrite), changed(masks)];
        let mut launches = cut.in_windows(&images(&[0, dy], read(y)), gpu, |rows, chunks| Dispatch {
            label: "batch_norm/backward chunks".into(),
            source: cut.source(&[sums, include_str!("backward_chunks.wgsl")], &values),
            constants: vec![width],
            bindings: to_sum.into_iter().chain(read(y)).collect(),
            immediates: vec![rows.len() as u32, units, cut.chunk_rows as u32, chunks.start as u32],
            clock: false,
            grid: [x, chunks.len() as u32, z],
            windows: Vec::new(),
        });
        launches.push(merge(&cut, [dweight, dbias]));
        let to_apply = [(0, Read), (weight, Read), (saved, Read), (dweight, Read), (dbias, Read)];
        // With a residual dx lies apart and dy holds dz already; without, y is still the gate.
        let last = if self.residual { write(dx) } else { read(y) };
        launches.extend(cut.in_windows(&images(&[0, dy], last), gpu, |window, _| Dispatch {
            label: "batch_norm/backward apply".into(),
            source: cut.source(&[include_str!("backward_apply.wgsl")], &values),
            constants: vec![width],
            bindings: to_apply.into_iter().chain([changed(!self.residual)]).chain(last).collect(),
            immediates: vec![window.len() as u32, units, rows],
            clock: false,
            grid: cut.pointwise_grid(window.len()),
            windows: Vec::new(),
        }));
        launches
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        partial_words(self.rows, self.channels, 2)
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        cpu_backward::scratch(self.rows, self.channels)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let (buffers, scratch) = args.each();
        let buffers = Buffers::new(buffers, self.relu, self.residual);
        cpu_backward::backward(cpu, self.rows, self.channels, buffers, scratch);
    }
}
