//! The launches on a GPU: how a head is cut into chunks of rows and blocks of columns.
//!
//! One shader per pass serves all sequences. Up to [`SHORT`] tokens a workgroup computes all chunks of a head, one after the
//! other, and finds in its cache what the last chunk read; longer sequences have a workgroup for each chunk.

use super::Attention;
use crate::dropout::mask;
use crate::kernel::{Access, CLOCK_WGSL, Dispatch, GpuTraits};
use crate::random;
use crate::template::expand;
use crate::windows::in_windows;
use Access::{Read, ReadWrite};

/// The longest sequence whose heads are one workgroup each, and the longest head.
const SHORT: usize = 128;
const SHORT_HEAD: usize = 64;
/// Most rows of a chunk: 65 tokens are two chunks.
const ROWS: usize = 36;
/// Most columns of a block: 65 tokens are one.
const COLUMNS: usize = 68;
/// vec4 of workgroup memory for the staged block and the scores; 2 KiB of 32 are left for the rest.
const VECTORS: usize = 1920;
/// Most threads of a workgroup.
const THREADS: usize = 256;

/// The longest head: a thread computes one quad of four rows.
pub(super) const LONGEST_HEAD: usize = 4 * THREADS;

/// How a head is cut.
struct Cut {
    /// vec4 of a head.
    quads: usize,
    rows: usize,
    chunks: usize,
    columns: usize,
    threads: usize,
}

/// The multiple of 4 that cuts `total` into as few equal parts as parts of at most `most` are.
fn even(total: usize, most: usize) -> usize {
    total.div_ceil(total.div_ceil(most)).next_multiple_of(4)
}

impl Cut {
    fn new(attention: &Attention) -> Self {
        let Attention { tokens, head_size, .. } = *attention;
        let quads = head_size.div_ceil(4);
        let rows = even(tokens, ROWS.min(THREADS / quads * 4).max(4));
        let fitting = (VECTORS - quads) * 4 / (4 * quads + rows);
        let columns = even(tokens, COLUMNS.min(fitting / 4 * 4).max(4));
        // Blocks of scores, blocks of the result, and four threads for each row.
        let threads = (rows / 4 * (columns / 4)).max(rows / 4 * quads).max(4 * rows).next_multiple_of(32);
        Self { quads, rows, chunks: tokens.div_ceil(rows), columns, threads: threads.min(THREADS) }
    }
}

/// The launches of a pass with `kinds` kinds of chunks. `operands` are the names and bindings that are read as rows.
fn launches(
    label: &'static str,
    attention: &Attention,
    gpu: &GpuTraits,
    kinds: usize,
    main: &str,
    operands: &[(&str, usize)],
    bindings: &[(usize, Access)],
    buffers: &[(usize, usize)],
) -> Vec<Dispatch> {
    let Attention { batch, tokens, heads, head_size, mask } = *attention;
    let cut = Cut::new(attention);
    let (masked, vec4) = (mask.is_some(), head_size.is_multiple_of(4));
    let values: &[(&str, &dyn std::fmt::Display)] = &[
        ("TOKENS", &tokens),
        ("HEADS", &heads),
        ("HEAD_SIZE", &head_size),
        ("QUADS", &cut.quads),
        ("ROWS", &cut.rows),
        ("COLUMNS", &cut.columns),
        ("CHUNKS", &cut.chunks),
        ("THREADS", &cut.threads),
        ("TOKENS_HELD", &cut.rows.max(cut.columns)),
        ("MASK", &masked),
        ("VEC4", &vec4),
    ];
    let mut source = String::new();
    if masked {
        source += &[CLOCK_WGSL, &random::wgsl(), mask::WGSL].concat();
    }
    source += &expand(include_str!("head.wgsl"), values);
    for (name, binding) in operands {
        let own: [(&str, &dyn std::fmt::Display); 2] = [("X", name), ("BINDING", binding)];
        source += &expand(include_str!("operand.wgsl"), &[values, &own].concat());
    }
    source += &expand(main, values);
    let chunks = kinds * cut.chunks;
    let units = if tokens <= SHORT && head_size <= SHORT_HEAD { chunks } else { 1 };
    in_windows(batch, buffers, gpu, |range| {
        let heads = range.len() * heads;
        let workgroups = (heads * chunks).div_ceil(units);
        let y = workgroups.div_ceil(65_535);
        let x = workgroups.div_ceil(y);
        let scale = attention.scale().to_bits();
        let mut immediates = vec![heads as u32, range.start as u32, units as u32, x as u32, scale];
        immediates.extend(mask.iter().flat_map(|mask| mask.immediates()));
        vec![Dispatch {
            label: label.into(),
            source: source.clone().into(),
            constants: Vec::new(),
            bindings: bindings.to_vec(),
            windows: Vec::new(),
            immediates,
            clock: masked,
            grid: [x as u32, y as u32, 1],
        }]
    })
}

/// Words per element of the batch: of O, and of L.
fn words(attention: &Attention) -> (usize, usize) {
    (attention.tokens * attention.width(), attention.heads * attention.tokens)
}

pub(super) fn forward(attention: &Attention, gpu: &GpuTraits) -> Vec<Dispatch> {
    let (output, lse) = words(attention);
    launches(
        "attention/forward",
        attention,
        gpu,
        1,
        include_str!("forward.wgsl"),
        &[("qkv", 0)],
        &[(0, Read), (1, ReadWrite), (2, ReadWrite)],
        &[(0, 3 * output), (1, output), (2, lse)],
    )
}

pub(super) fn backward(attention: &Attention, gpu: &GpuTraits) -> Vec<Dispatch> {
    let (output, lse) = words(attention);
    launches(
        "attention/backward",
        attention,
        gpu,
        2,
        include_str!("backward.wgsl"),
        &[("qkv", 0), ("o", 1), ("dout", 2)],
        &[(0, Read), (1, Read), (2, Read), (3, Read), (4, ReadWrite)],
        &[(0, 3 * output), (1, output), (2, output), (3, lse), (4, 3 * output)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_fit_the_threads_and_the_memory_of_a_workgroup() {
        for tokens in 1..300 {
            for head_size in [1, 16, 30, 32, 64, 80, 128, 256, 1000, LONGEST_HEAD] {
                let attention = Attention { batch: 1, tokens, heads: 1, head_size, mask: None };
                let Cut { quads, rows, chunks, columns, threads } = Cut::new(&attention);
                let what = format!("{tokens} tokens, heads of {head_size}");
                assert!(rows * chunks >= tokens && rows * (chunks - 1) < tokens, "{what}");
                assert!(rows / 4 * (columns / 4) <= threads && rows / 4 * quads <= threads, "{what}");
                assert!(4 * rows <= threads && threads <= THREADS, "{what}");
                let held = 6 * rows.max(columns) * 4;
                assert!(16 * (quads * (columns + 1) + rows * columns / 4) + held <= 32 << 10, "{what}");
            }
        }
    }
}
