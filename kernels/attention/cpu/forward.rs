//! The forward pass of a head.

use super::{QUERIES, Rows, Sizes, blocks, draw, fill_bias, for_heads, set, take, tasks, vector};
use crate::attention::Attention;
use crate::math::exp_not_positive;
use crate::matmul::block::Block;
use crate::matmul::pack::transpose;
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;
use crate::{Args, Clock, Cpu};

/// Words of one task, a multiple of a cache line: the bias of S, Kᵀ, S, factors, V.
fn forward_words(attention: &Attention) -> usize {
    let sizes = Sizes::new(attention);
    let words = sizes.keys * (1 + attention.head_size + sizes.queries)
        + sizes.factor_words()
        + sizes.copy_words(attention);
    words.next_multiple_of(LANES)
}

pub(in super::super) fn forward_scratch(attention: &Attention, cpu: &Cpu) -> usize {
    tasks(attention, cpu) * forward_words(attention) + LANES
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

pub(in super::super) fn forward(attention: &Attention, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let ([qkv, o, lse], scratch) = args.split();
    let Attention { tokens, heads, head_size, .. } = *attention;
    let (qkv, width, sizes) = (qkv.f32(), attention.width(), Sizes::new(attention));
    attention.check(qkv, &[o.f32()], lse.f32());
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
            // SAFETY: Q has these rows (checked above), Kᵀ and the bias are whole vectors, and `scores` is ours.
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
            // SAFETY: V has whole vectors (checked above, or copied), and this part of O is ours.
            unsafe { product.run(cpu.isa) };
        }
    });
}
