//! The launches of layer normalisation: some threads share a row, which lies in their registers.

use super::{LayerNormBackward, LayerNormForward};
use crate::dropout::{Mask, mask};
use crate::kernel::{Access, CLOCK_WGSL, Dispatch, GpuTraits, SCRATCH};
use crate::random;
use crate::template::expand;
use crate::windows::{in_windows, windows};
use std::ops::Range;

/// Threads of a workgroup.
const WORKGROUP: usize = 256;
/// Most workgroups in one dimension of a grid.
const GRID: usize = 65_535;
/// Vectors of a row that a thread holds, before more threads share the row.
const MOST_VECTORS: usize = 4;

/// How rows are shared among threads.
struct Cut {
    /// Floats that a thread takes at once: four neighbours, where rows are whole vectors.
    vector: usize,
    /// Vectors in a row.
    units: usize,
    /// Threads that share a row, a power of two.
    lanes: usize,
}

impl Cut {
    fn new(width: usize) -> Self {
        let vector = if width.is_multiple_of(4) { 4 } else { 1 };
        let units = width / vector;
        let lanes = units.div_ceil(MOST_VECTORS).next_power_of_two().clamp(32, WORKGROUP);
        Self { vector, units, lanes }
    }

    fn source(&self, text: &str, options: &[(&str, usize)], masked: bool) -> String {
        let element = if self.vector == 4 { "vec4<f32>" } else { "f32" };
        let vectors = self.units.div_ceil(self.lanes);
        let vec4 = self.vector == 4;
        let mut values: Vec<(&str, &dyn std::fmt::Display)> = vec![
            ("ELEMENT", &element),
            ("VEC4", &vec4),
            ("LANES", &self.lanes),
            ("VECTORS", &vectors),
            ("MASK", &masked),
        ];
        values.extend(options.iter().map(|(name, value)| (*name, value as &dyn std::fmt::Display)));
        let row = expand(&[include_str!("row.wgsl"), text].concat(), &values);
        if masked { [CLOCK_WGSL, &random::wgsl(), mask::WGSL, &row].concat() } else { row }
    }

    fn immediates(&self, rows: usize, first: usize, width: usize, eps: f32, mask: Option<Mask>) -> Vec<u32> {
        let share = (1.0 / width as f32).to_bits();
        let mut words = vec![rows as u32, first as u32, self.units as u32, eps.to_bits(), share];
        words.extend(mask.iter().flat_map(|mask| mask.immediates()));
        words
    }
}

pub(super) fn forward(kernel: &LayerNormForward, gpu: &GpuTraits) -> Vec<Dispatch> {
    let LayerNormForward { rows, width, eps, branch, mask } = *kernel;
    let cut = Cut::new(width);
    let source = cut.source(
        include_str!("forward.wgsl"),
        &[("BACKWARD", 0), ("BRANCH", usize::from(branch))],
        mask.is_some(),
    );
    use Access::{Read, ReadWrite};
    let (bindings, buffers) = match branch {
        false => (vec![(0, Read), (1, Read), (2, Read), (3, ReadWrite)], vec![(0, width), (3, width)]),
        true => (
            vec![(0, Read), (2, Read), (3, Read), (5, ReadWrite), (1, Read), (4, ReadWrite)],
            [0, 1, 4, 5].map(|buffer| (buffer, width)).to_vec(),
        ),
    };
    in_windows(rows, &buffers, gpu, |range| {
        vec![Dispatch {
            label: "layer_norm/forward".into(),
            source: source.clone().into(),
            constants: Vec::new(),
            bindings: bindings.clone(),
            windows: Vec::new(),
            immediates: cut.immediates(range.len(), range.start, width, eps, mask),
            clock: mask.is_some(),
            grid: [range.len().div_ceil(WORKGROUP / cut.lanes).min(GRID) as u32, 1, 1],
        }]
    })
}

/// Rows that are never cut apart: a whole group, where there are several.
fn together(kernel: &LayerNormBackward) -> usize {
    if kernel.groups > 1 { kernel.chunk_rows() } else { 1 }
}

/// The buffers that are cut into windows, and their words per row, or per group of rows.
fn row_buffers(kernel: &LayerNormBackward) -> Vec<(usize, usize)> {
    let mut buffers = vec![0, 1];
    // dsum, dx, dbranch lie side by side behind the weight.
    buffers.extend(3..4 + usize::from(kernel.dsum) + usize::from(kernel.mask.is_some()));
    buffers.into_iter().map(|buffer| (buffer, together(kernel) * kernel.width)).collect()
}

/// Partial sums over rows: the chunks of every window.
pub(super) fn chunks(kernel: &LayerNormBackward, gpu: &GpuTraits) -> usize {
    let (each, length) = (together(kernel), kernel.chunk_rows());
    let of = |range: &Range<usize>| (range.len() * each).div_ceil(length);
    windows(kernel.rows / each, &row_buffers(kernel), gpu).iter().map(of).sum()
}

pub(super) fn backward(kernel: &LayerNormBackward, gpu: &GpuTraits) -> Vec<Dispatch> {
    let LayerNormBackward { rows, width, eps, dsum, mask, groups } = *kernel;
    let cut = Cut::new(width);
    let source = cut.source(
        include_str!("backward.wgsl"),
        &[("BACKWARD", 1), ("DSUM", usize::from(dsum)), ("DBRANCH", 5 + usize::from(dsum))],
        mask.is_some(),
    );
    use Access::{Read, ReadWrite};
    let dx = 3 + usize::from(dsum);
    let mut bindings = vec![(0, Read), (1, Read), (2, Read), (dx, ReadWrite), (SCRATCH, ReadWrite)];
    bindings.extend(dsum.then_some((3, Read)));
    bindings.extend(mask.map(|_| (dx + 1, ReadWrite)));
    let (each, length) = (together(kernel), kernel.chunk_rows());
    let mut first_chunk = 0;
    let mut dispatches = in_windows(rows / each, &row_buffers(kernel), gpu, |range| {
        let range = range.start * each..range.end * each;
        let mut immediates = cut.immediates(range.len(), range.start, width, eps, mask);
        immediates.extend([length as u32, first_chunk as u32]);
        let chunks = range.len().div_ceil(length);
        first_chunk += chunks;
        vec![Dispatch {
            label: "layer_norm/backward".into(),
            source: source.clone().into(),
            constants: Vec::new(),
            bindings: bindings.clone(),
            windows: Vec::new(),
            immediates,
            clock: mask.is_some(),
            grid: [chunks as u32, 1, 1],
        }]
    });
    let dweight = dx + 1 + usize::from(mask.is_some());
    dispatches.push(Dispatch {
        label: "layer_norm/backward merge".into(),
        source: include_str!("merge.wgsl").into(),
        constants: Vec::new(),
        bindings: vec![(SCRATCH, Read), (dweight, ReadWrite), (dweight + 1, ReadWrite)],
        windows: Vec::new(),
        immediates: vec![width as u32, (first_chunk / groups) as u32, groups as u32],
        clock: false,
        grid: [(2 * width).div_ceil(64) as u32, groups.min(GRID) as u32, 1],
    });
    dispatches
}
