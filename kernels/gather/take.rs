//! Rows of a table by their indices.

use crate::size::words;
use crate::threads::Parts;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Case, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel, Size, Values};
use std::sync::Arc;

/// `taken[i] = table[index[i]]`, word by word: PyTorch's `index_select`. Inputs and targets that are no images.
///
/// Buffers: table `[rows, words]`, index `[batch]`, taken `[batch, words]`. An index beyond the end means the last row.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// Rows of the table, at least 1.
    pub rows: usize,
    /// Rows that are taken.
    pub batch: usize,
    /// Words of a row.
    pub words: usize,
}

impl Kernel for Take {
    fn name(&self) -> &'static str {
        "gather/take"
    }
    fn shape(&self) -> String {
        format!("{} of {}x{}", self.batch, self.rows, self.words)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("table", words([self.rows, self.words])),
            Binding::read("index", self.batch).integers(),
            Binding::write("taken", words([self.batch, self.words])),
        ]
    }
    fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: (4 * self.batch * (2 * self.words + 1)) as u64 }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        // Each window gives the rows that it holds.
        in_windows(self.rows, &[(0, self.words)], gpu, |rows| {
            vec![Dispatch {
                label: "gather/take".into(),
                source: include_str!("take.wgsl").into(),
                constants: Vec::new(),
                bindings: vec![(0, Access::Read), (1, Access::Read), (2, Access::ReadWrite)],
                immediates: [self.batch, self.words, self.rows, rows.start, rows.len()]
                    .map(|n| n as u32)
                    .to_vec(),
                clock: false,
                grid: [(self.batch * self.words).div_ceil(64).min(65_535) as u32, 1, 1],
                windows: Vec::new(),
            }]
        })
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([table, index, taken], _) = args.split();
        let (table, index, taken) = (table.u32(), index.u32(), Parts::new(taken.u32_mut()));
        let (words, last) = (self.words, self.rows - 1);
        cpu.over_rows(self.batch, words, |part| {
            for i in part {
                let row = (index[i] as usize).min(last);
                // SAFETY: every row belongs to one task.
                let to = unsafe { taken.part(i * words..(i + 1) * words) };
                to.copy_from_slice(&table[row * words..][..words]);
            }
        });
    }
}

/// The cases of this kernel: one row in five lies beyond the end.
pub(super) fn cases() -> Vec<Case> {
    let tiny = [(1, 1, 1), (7, 3, 5), (65, 130, 16), (33, 1, 257), (40, 9, 10)];
    let tiny = tiny.map(|shape| (shape, Size::Tiny));
    let real = [(2048, 128, 784), (2048, 128, 10)].map(|shape| (shape, Size::Real));
    let case = |((rows, batch, words), size)| {
        let index = (0..batch as u32).map(|i| if i % 5 == 4 { u32::MAX - i } else { i * 7 % rows as u32 });
        Case {
            kernel: Arc::new(Take { rows, batch, words }),
            clock: Clock::default(),
            inputs: vec![
                Values::Random { len: rows * words, stream: 1 },
                Values::U32(index.clone().collect()),
                Values::Random { len: batch * words, stream: 2 },
            ],
            expected: Box::new(move |inputs| {
                let (table, Values::U32(index)) = (inputs[0].f64(), &inputs[1]) else { unreachable!() };
                let row = |&i: &u32| (i as usize).min(rows - 1) * words;
                let taken = index.iter().flat_map(|i| table[row(i)..][..words].to_vec()).collect();
                vec![None, None, Some(taken)]
            }),
            tolerance: 0.0,
            size,
        }
    };
    tiny.into_iter().chain(real).map(case).collect()
}
