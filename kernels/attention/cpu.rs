//! Attention on the CPU: a head is the work of one thread, and its matrices lie in the cache.
//!
//! All products are the micro-kernel of matrix multiplication on operands where they lie; only Kᵀ and Vᵀ are copied, so
//! that their rows are vectors. Queries go by in blocks of rows, so that S and dP stay in the cache for long sequences,
//! too. Behind the last key a row of S holds minus infinity, up to whole vectors.

use super::Attention;
use crate::cpu::aligned;
use crate::dropout::Mask;
use crate::math::exp_not_positive;
use crate::matmul::block::Block;
use crate::matmul::pack::transpose;
use crate::simd::{Isa, LANES, Simd, Vectorised};
use crate::threads::{Parts, part};
use crate::{Args, Clock, Cpu};
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

/// Words of one task, a multiple of a cache line: the bias of S, Kᵀ, S, factors, V.
fn forward_words(attention: &Attention) -> usize {
    let sizes = Sizes::new(attention);
    let words = sizes.keys * (1 + attention.head_size + sizes.queries)
        + sizes.factor_words()
        + sizes.copy_words(attention);
    words.next_multiple_of(LANES)
}

/// Words of one task: the bias of S, Kᵀ, Vᵀ, S, dP, factors, and Q, K, dO.
fn backward_words(attention: &Attention) -> usize {
    let sizes = Sizes::new(attention);
    let words = sizes.keys * (1 + 2 * attention.head_size + 2 * sizes.queries)
        + sizes.factor_words()
        + 3 * sizes.copy_words(attention);
    words.next_multiple_of(LANES)
}

pub(super) fn forward_scratch(attention: &Attention, cpu: &Cpu) -> usize {
    tasks(attention, cpu) * forward_words(attention) + LANES
}

pub(super) fn backward_scratch(attention: &Attention, cpu: &Cpu) -> usize {
    tasks(attention, cpu) * backward_words(attention) + LANES
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

/// Rows of S become rows of M ∘ P; L on the way. S is not scaled yet.
struct Softmax<'a> {
    sizes: Sizes,
    scale: f32,
    scores: &'a mut [f32],
    factors: &'a [f32],
    lse: &'a mut [f32],
}

impl Vectorised for Softmax<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Sizes { keys, factors, .. } = self.sizes;
        let (vectors, scale) = (keys / LANES, s.splat(self.scale));
        // Each pass goes over all rows: those of a pass do not wait for one another.
        for (row, lse) in self.scores.chunks_exact(keys).zip(&mut *self.lse) {
            let mut most = vector(s, row, 0);
            for v in 1..vectors {
                most = s.max(most, vector(s, row, v));
            }
            *lse = s.largest(most) * self.scale;
        }
        let mut inverse = [0.0; QUERIES];
        for ((row, lse), inverse) in self.scores.chunks_exact_mut(keys).zip(self.lse).zip(&mut inverse) {
            let shift = s.splat(-*lse);
            let mut sum = s.splat(0.0);
            for v in 0..vectors {
                let exponential = exp_not_positive(s, s.fma(vector(s, row, v), scale, shift));
                sum = s.add(sum, exponential);
                set(s, row, v, exponential);
            }
            let sum = s.sum(sum);
            *lse += sum.ln();
            *inverse = 1.0 / sum;
        }
        for (i, (row, inverse)) in self.scores.chunks_exact_mut(keys).zip(inverse).enumerate() {
            let inverse = s.splat(inverse);
            for v in 0..vectors {
                let mut weight = s.mul(vector(s, row, v), inverse);
                if factors > 0 {
                    weight = s.mul(weight, vector(s, &self.factors[i * factors..], v));
                }
                set(s, row, v, weight);
            }
        }
    }
}

pub(super) fn forward(attention: &Attention, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let ([qkv, o, lse], scratch) = args.split();
    let Attention { tokens, heads, head_size, .. } = *attention;
    let (qkv, width, sizes) = (qkv.f32(), attention.width(), Sizes::new(attention));
    let (o, lse) = (Parts::new(o.f32_mut()), Parts::new(lse.f32_mut()));
    for_heads(attention, cpu, scratch, forward_words(attention), &|index, mut rest| {
        let first = index / heads * tokens * 3 * width + index % heads * head_size;
        let (q, k, v) = (&qkv[first..], &qkv[first + width..], &qkv[first + 2 * width..]);
        let bias = take(&mut rest, sizes.keys);
        let k_transposed = take(&mut rest, sizes.keys * head_size);
        let scores = take(&mut rest, sizes.keys * sizes.queries);
        let factors = take(&mut rest, sizes.factor_words());
        fill_bias(bias, tokens);
        transpose(cpu.isa, k, 3 * width, tokens, k_transposed, sizes.keys);
        let v = Rows::new(v, 3 * width, tokens, head_size, take(&mut rest, sizes.copy_words(attention)));
        for queries in blocks(tokens) {
            let count = queries.len();
            draw(attention, cpu.isa, clock, index, &queries, factors);
            let product = Block {
                m: count,
                n: sizes.keys,
                k: head_size,
                a: q[queries.start * 3 * width..].as_ptr(),
                a_row: 3 * width,
                a_k: 1,
                b: k_transposed.as_ptr(),
                b_k: sizes.keys,
                c: scores.as_mut_ptr(),
                c_row: sizes.keys,
                first: true,
                bias: bias.as_ptr(),
            };
            // SAFETY: Q has these rows, Kᵀ and the bias are whole vectors, and `scores` is ours.
            unsafe { product.run(cpu.isa) };
            let at = index * tokens;
            cpu.isa.run(Softmax {
                sizes,
                scale: attention.scale(),
                scores: &mut scores[..count * sizes.keys],
                factors,
                // SAFETY: every head has rows of its own.
                lse: unsafe { lse.part(at + queries.start..at + queries.end) },
            });
            let start = (index / heads * tokens + queries.start) * width + index % heads * head_size;
            let product = Block {
                m: count,
                n: head_size,
                k: tokens,
                a: scores.as_ptr(),
                a_row: sizes.keys,
                a_k: 1,
                b: v.start,
                b_k: v.stride,
                // SAFETY: the rows of a head interleave with those of others, but share no element with them.
                c: unsafe { o.pointer(start, (count - 1) * width + head_size) },
                c_row: width,
                first: true,
                bias: std::ptr::null(),
            };
            // SAFETY: V has whole vectors, and this part of O is ours.
            unsafe { product.run(cpu.isa) };
        }
    });
}

/// Rows of S become rows of M ∘ P, those of dO Vᵀ become rows of dS / sqrt(d).
struct Gradient<'a> {
    sizes: Sizes,
    scale: f32,
    head_size: usize,
    /// Distance of the rows of dO and O.
    width: usize,
    scores: &'a mut [f32],
    dweights: &'a mut [f32],
    factors: &'a [f32],
    lse: &'a [f32],
    o: &'a [f32],
    dout: &'a [f32],
}

impl Vectorised for Gradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let keys = self.sizes.keys;
        let scale = s.splat(self.scale);
        // A pass of its own: the rows of the next one do not wait for their sums.
        let mut dots = [0.0; QUERIES];
        for (i, dot) in dots.iter_mut().enumerate().take(self.lse.len()) {
            let head = i * self.width..i * self.width + self.head_size;
            let (o, o_tail) = self.o[head.clone()].as_chunks::<LANES>();
            let (dout, dout_tail) = self.dout[head].as_chunks::<LANES>();
            let mut sum = s.mul(s.load_partial(o_tail), s.load_partial(dout_tail));
            for (o, dout) in o.iter().zip(dout) {
                sum = s.fma(s.load(o), s.load(dout), sum);
            }
            *dot = s.sum(sum);
        }
        let rows = self.scores.chunks_exact_mut(keys).zip(self.dweights.chunks_exact_mut(keys));
        for (i, ((scores, dweights), (&lse, dot))) in rows.zip(self.lse.iter().zip(dots)).enumerate() {
            let (d, shift) = (s.splat(dot), s.splat(-lse));
            for v in 0..keys / LANES {
                let weight = exp_not_positive(s, s.fma(vector(s, scores, v), scale, shift));
                let mut dweight = vector(s, dweights, v);
                let mut kept = weight;
                if self.sizes.factors > 0 {
                    let factor = vector(s, &self.factors[i * self.sizes.factors..], v);
                    dweight = s.mul(dweight, factor);
                    kept = s.mul(weight, factor);
                }
                set(s, scores, v, kept);
                set(s, dweights, v, s.mul(s.mul(weight, scale), s.sub(dweight, d)));
            }
        }
    }
}

pub(super) fn backward(attention: &Attention, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let ([qkv, o, dout, lse, dqkv], scratch) = args.split();
    let Attention { tokens, heads, head_size, .. } = *attention;
    let (width, sizes) = (attention.width(), Sizes::new(attention));
    let (qkv, o, dout, lse) = (qkv.f32(), o.f32(), dout.f32(), lse.f32());
    let dqkv = Parts::new(dqkv.f32_mut());
    for_heads(attention, cpu, scratch, backward_words(attention), &|index, mut rest| {
        let first = index / heads * tokens * 3 * width + index % heads * head_size;
        let first_out = index / heads * tokens * width + index % heads * head_size;
        let (q, k, v) = (&qkv[first..], &qkv[first + width..], &qkv[first + 2 * width..]);
        let dout = &dout[first_out..];
        let bias = take(&mut rest, sizes.keys);
        let k_transposed = take(&mut rest, sizes.keys * head_size);
        let v_transposed = take(&mut rest, sizes.keys * head_size);
        let scores = take(&mut rest, sizes.keys * sizes.queries);
        let dweights = take(&mut rest, sizes.keys * sizes.queries);
        let factors = take(&mut rest, sizes.factor_words());
        let mut copy = || take(&mut rest, sizes.copy_words(attention));
        fill_bias(bias, tokens);
        transpose(cpu.isa, k, 3 * width, tokens, k_transposed, sizes.keys);
        transpose(cpu.isa, v, 3 * width, tokens, v_transposed, sizes.keys);
        let q_rows = Rows::new(q, 3 * width, tokens, head_size, copy());
        let k_rows = Rows::new(k, 3 * width, tokens, head_size, copy());
        let dout_rows = Rows::new(dout, width, tokens, head_size, copy());
        // Rows of dQ, dK or dV.
        let to = |part: usize, row: usize, rows: usize| {
            let start = first + part * width + row * 3 * width;
            // SAFETY: the rows of a head interleave with those of others, but share no element with them.
            unsafe { dqkv.pointer(start, (rows - 1) * 3 * width + head_size) }
        };
        for queries in blocks(tokens) {
            let count = queries.len();
            draw(attention, cpu.isa, clock, index, &queries, factors);
            let square = |a: Rows, b: &[f32], c: &mut [f32], bias: *const f32| {
                let product = Block {
                    m: count,
                    n: sizes.keys,
                    k: head_size,
                    a: a.row(queries.start),
                    a_row: a.stride,
                    a_k: 1,
                    b: b.as_ptr(),
                    b_k: sizes.keys,
                    c: c.as_mut_ptr(),
                    c_row: sizes.keys,
                    first: true,
                    bias,
                };
                // SAFETY: the rows exist, Kᵀ, Vᵀ and the bias are whole vectors, and C is ours.
                unsafe { product.run(cpu.isa) };
            };
            square(q_rows, k_transposed, scores, bias.as_ptr());
            square(dout_rows, v_transposed, dweights, std::ptr::null());
            let start = queries.start * width;
            let at = index * tokens;
            cpu.isa.run(Gradient {
                sizes,
                scale: attention.scale(),
                head_size,
                width,
                scores: &mut scores[..count * sizes.keys],
                dweights: &mut dweights[..count * sizes.keys],
                factors,
                lse: &lse[at + queries.start..at + queries.end],
                o: &o[first_out + start..],
                dout: &dout[start..],
            });
            // C = A B with A = dS, or a transposed [T, count] of which every block of queries adds its part.
            let product = |a: &[f32], transposed: bool, b: Rows, c: *mut f32| {
                let product = Block {
                    m: if transposed { tokens } else { count },
                    n: head_size,
                    k: if transposed { count } else { tokens },
                    a: a.as_ptr(),
                    a_row: if transposed { 1 } else { sizes.keys },
                    a_k: if transposed { sizes.keys } else { 1 },
                    b: if transposed { b.row(queries.start) } else { b.start },
                    b_k: b.stride,
                    c,
                    c_row: 3 * width,
                    first: !transposed || queries.start == 0,
                    bias: std::ptr::null(),
                };
                // SAFETY: B has whole vectors, and this part of dqkv is ours.
                unsafe { product.run(cpu.isa) };
            };
            product(dweights, false, k_rows, to(0, queries.start, count));
            product(dweights, true, q_rows, to(1, 0, tokens));
            product(scores, true, dout_rows, to(2, 0, tokens));
        }
    });
}
