//! Shaders that take the rows of `[rows, columns]` arrays one by one and need sums over each.

use crate::kernel::{Access, Binding, Dispatch, GpuTraits};
use crate::windows::in_windows;

/// WGSL text of `Immediates`, `sum_of_lanes` and `largest_of_lanes`.
const WGSL: &str = include_str!("rows.wgsl");

/// Up to this many columns one thread takes a whole row.
const THREAD_COLUMNS: usize = 32;
/// Threads of a workgroup, which one row or as many rows share.
const THREADS: usize = 128;
/// Most workgroups in one dimension of a grid.
const GRID: usize = 65_535;

/// The launches of `source` behind [`WGSL`], one for each window of rows. Buffers of another length than `[rows, columns]`
/// are bound whole; `numbers` are what the shader finds as `imm.first_number` and `imm.second_number`.
pub(crate) fn launches(
    label: &'static str,
    source: &str,
    [rows, columns]: [usize; 2],
    buffers: &[Binding],
    numbers: [f32; 2],
    gpu: &GpuTraits,
) -> Vec<Dispatch> {
    let lanes = if columns <= THREAD_COLUMNS { 1 } else { THREADS };
    let access = |buffer: &Binding| match buffer.access {
        Access::Read => Access::Read,
        Access::Write | Access::ReadWrite => Access::ReadWrite,
    };
    let in_rows: Vec<(usize, usize)> = (0..buffers.len())
        .filter(|&buffer| buffers[buffer].words == rows * columns)
        .map(|buffer| (buffer, columns))
        .collect();
    in_windows(rows, &in_rows, gpu, |window| {
        vec![Dispatch {
            label: label.into(),
            source: [WGSL, source].concat().into(),
            constants: vec![("lanes", lanes as f64)],
            bindings: buffers.iter().map(access).enumerate().collect(),
            windows: Vec::new(),
            immediates: vec![window.len() as u32, columns as u32, numbers[0].to_bits(), numbers[1].to_bits()],
            clock: false,
            grid: [window.len().div_ceil(THREADS / lanes).min(GRID) as u32, 1, 1],
        }]
    })
}
