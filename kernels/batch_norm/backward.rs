//! The gradients' declaration: buffers, cost, launches.

use super::{partial_words, shape};
use crate::kernel::SCRATCH;
use crate::reduce::columns::Columns;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// Gradients of [`BatchNormForward`](super::BatchNormForward).
#[derive(Clone, Copy, Debug)]
pub struct BatchNormBackward {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
    /// Whether ReLU followed: dy counts only where y > 0.
    pub relu: bool,
}

impl Kernel for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm/backward"
    }
    fn shape(&self) -> String {
        shape(self.rows, self.channels, self.relu)
    }
    fn bindings(&self) -> Vec<Binding> {
        let (all, c) = (self.rows * self.channels, self.channels);
        vec![
            Binding::read("x", all),
            Binding::read("y", all),
            Binding::read("weight", c),
            Binding::read("saved", 2 * c),
            Binding::read("dy", all),
            Binding::write("dx", all),
            Binding::write("dweight", c),
            Binding::write("dbias", c),
        ]
    }
    fn cost(&self) -> Cost {
        let (all, c) = ((self.rows * self.channels) as u64, self.channels as u64);
        // Sums: 5. dx: 6. x, dy and, behind ReLU, y are read twice.
        let passes = if self.relu { 7 } else { 5 };
        Cost { flops: (11 + 2 * u64::from(self.relu)) * all + 4 * c, bytes: 4 * (passes * all + 5 * c) }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        let cut = Columns::new(self.rows, self.channels);
        let (rows, units) = (self.rows as u32, cut.units());
        let width = ("WIDTH", f64::from(cut.width()));
        let relu = ("RELU", f64::from(u8::from(self.relu)));
        let sums = include_str!("sums.wgsl");
        use Access::{Read, ReadWrite};
        if cut.whole() {
            return vec![Dispatch {
                label: "batch_norm/backward".into(),
                source: cut.source(&[sums, include_str!("backward_whole.wgsl")]),
                constants: vec![width, relu],
                bindings: vec![
                    (0, Read),
                    (1, Read),
                    (2, Read),
                    (3, Read),
                    (4, Read),
                    (5, ReadWrite),
                    (6, ReadWrite),
                    (7, ReadWrite),
                ],
                immediates: vec![rows, units],
                clock: false,
                grid: cut.grid(),
                windows: Vec::new(),
            }];
        }
        let [x, y, z] = cut.grid();
        vec![
            Dispatch {
                label: "batch_norm/backward chunks".into(),
                source: cut.source(&[sums, include_str!("backward_chunks.wgsl")]),
                constants: vec![width, relu],
                bindings: vec![(0, Read), (1, Read), (3, Read), (4, Read), (SCRATCH, ReadWrite)],
                immediates: vec![rows, units, cut.chunk_rows as u32],
                clock: false,
                grid: [x, y, z],
                windows: Vec::new(),
            },
            Dispatch {
                label: "batch_norm/backward merge".into(),
                source: cut.source(&[sums, include_str!("backward_merge.wgsl")]),
                constants: vec![width],
                bindings: vec![(SCRATCH, Read), (6, ReadWrite), (7, ReadWrite)],
                immediates: vec![units, cut.chunks as u32],
                clock: false,
                grid: [x, 1, z],
                windows: Vec::new(),
            },
            Dispatch {
                label: "batch_norm/backward apply".into(),
                source: cut.source(&[include_str!("backward_apply.wgsl")]),
                constants: vec![width, relu],
                bindings: vec![
                    (0, Read),
                    (1, Read),
                    (2, Read),
                    (3, Read),
                    (4, Read),
                    (6, Read),
                    (7, Read),
                    (5, ReadWrite),
                ],
                immediates: vec![rows, units],
                clock: false,
                grid: cut.pointwise_grid(),
                windows: Vec::new(),
            },
        ]
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        partial_words(self.rows, self.channels)
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        partial_words(self.rows, self.channels)
    }
    fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        super::cpu_backward::backward(self, cpu, args);
    }
}
