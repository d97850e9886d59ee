//! Attention on the CPU: a head is the work of one thread, and its matrices lie in the cache.
//!
//! All products are the micro-kernel of matrix multiplication on operands where they lie; only Kᵀ and Vᵀ are copied, so
//! that their rows are vectors. Queries go by in blocks of rows, so that S and dP stay in the cache for long sequences,
//! too. Behind the last key a row of S holds minus infinity, up to whole vectors.

mod backward;
mod forward;

pub(super) use backward::{backward, backward_scratch};
pub(super) use forward::{forward, forward_scratch};

use super::Attention;
use crate::cpu::aligned;
use crate::dropout::Mask;
use crate::simd::{Isa, LANES, Simd, Vectorised};
use crate::threads::part;
use crate::{Clock, Cpu};
use std::ops::Range;

/// Queries of a block.
const QUERIES: usize = 72;
/// Tasks per thread: each has scratch memory of its own and computes some heads.
const TASKS_PER_THREAD: usize = 8;

/// The sizes that scratch memory is made of.
#[derive(Clone, Copy)]
struct Sizes {
    /// Keys, up to whole vectors.
    keys: usize,
    /// Queries of the longest block.
    queries: usize,
    /// Length of a head, up to whole vectors.
    head: usize,
    /// Factors of dropout in a row, or 0.
    factors: usize,
    /// Whether rows of a head are copied to be padded to whole vectors.
    copied: bool,
}

impl Sizes {
    fn new(attention: &Attention) -> Self {
        let Attention { tokens, head_size, mask, .. } = *attention;
        Self {
            keys: tokens.next_multiple_of(LANES),
            queries: tokens.min(QUERIES),
            head: head_size.next_multiple_of(LANES),
            factors: if mask.is_some() { 4 * attention.counters() } else { 0 },
            copied: !head_size.is_multiple_of(LANES),
        }
    }
    /// Room behind the factors of the last row, for whole vectors are read.
    fn factor_words(self) -> usize {
        if self.factors > 0 { self.queries * self.factors + LANES } else { 0 }
    }
    fn copy_words(self, attention: &Attention) -> usize {
        if self.copied { attention.tokens * self.head } else { 0 }
    }
}

fn tasks(attention: &Attention, cpu: &Cpu) -> usize {
    (TASKS_PER_THREAD * cpu.threads.count()).min(attention.batch * attention.heads)
}

/// Runs `head(index, scratch)` for every head of every element of the batch.
fn for_heads(
    attention: &Attention,
    cpu: &Cpu,
    scratch: &mut [u32],
    words: usize,
    head: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    let scratch: &mut [f32] = bytemuck::cast_slice_mut(scratch);
    let (heads, tasks) = (attention.batch * attention.heads, tasks(attention, cpu));
    let scratch = &mut aligned(scratch)[..tasks * words];
    cpu.threads.chunks_mut(scratch, words, &|task, scratch| {
        for index in part(heads, tasks, task) {
            head(index, scratch);
        }
    });
}

/// Cuts the first `words` off.
fn take<'a>(rest: &mut &'a mut [f32], words: usize) -> &'a mut [f32] {
    let (first, behind) = std::mem::take(rest).split_at_mut(words);
    *rest = behind;
    first
}

/// A matrix of a head, where it lies or copied: whole vectors of every row are readable.
#[derive(Clone, Copy)]
struct Rows {
    start: *const f32,
    stride: usize,
}

impl Rows {
    /// `from` starts at the first row of the head; rows are `stride` apart.
    fn new(from: &[f32], stride: usize, tokens: usize, size: usize, copy: &mut [f32]) -> Self {
        if copy.is_empty() {
            return Self { start: from.as_ptr(), stride };
        }
        let width = size.next_multiple_of(LANES);
        for (to, row) in copy.chunks_exact_mut(width).zip(from.chunks(stride)).take(tokens) {
            to[..size].copy_from_slice(&row[..size]);
            to[size..].fill(0.0);
        }
        Self { start: copy.as_ptr(), stride: width }
    }
    fn row(self, row: usize) -> *const f32 {
        self.start.wrapping_add(row * self.stride)
    }
}

/// The queries of a block.
fn blocks(tokens: usize) -> impl Iterator<Item = Range<usize>> {
    let blocks = tokens.div_ceil(QUERIES);
    (0..blocks).map(move |block| block * tokens / blocks..(block + 1) * tokens / blocks)
}

/// What is added to rows of S: minus infinity behind the last key.
fn fill_bias(bias: &mut [f32], tokens: usize) {
    bias[..tokens].fill(0.0);
    bias[tokens..].fill(f32::NEG_INFINITY);
}

/// The factors of dropout of some rows of P of a head, one row after the other.
struct Factors<'a> {
    mask: Mask,
    clock: &'a Clock,
    counter: usize,
    factors: &'a mut [f32],
}

impl Vectorised for Factors<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.mask.factors(s, self.clock, self.counter as u32, self.factors);
    }
}

/// Draws the factors of the queries of a block.
fn draw(
    attention: &Attention,
    isa: Isa,
    clock: &Clock,
    head: usize,
    queries: &Range<usize>,
    factors: &mut [f32],
) {
    if let Some(mask) = attention.mask {
        let counter = (head * attention.tokens + queries.start) * attention.counters();
        let factors = &mut factors[..queries.len() * 4 * attention.counters()];
        isa.run(Factors { mask, clock, counter, factors });
    }
}

#[inline(always)]
fn vector<S: Simd>(s: S, row: &[f32], index: usize) -> S::V {
    s.load(row[index * LANES..].first_chunk().expect("rows are whole vectors"))
}

#[inline(always)]
fn set<S: Simd>(s: S, row: &mut [f32], index: usize, v: S::V) {
    s.store(row[index * LANES..].first_chunk_mut().expect("rows are whole vectors"), v);
}
