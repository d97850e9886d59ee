//! The backward pass of a head.

use super::{QUERIES, Rows, Sizes, blocks, draw, fill_bias, for_heads, set, take, tasks, vector};
use crate::attention::Attention;
use crate::math::exp_not_positive;
use crate::matmul::block::Block;
use crate::matmul::pack::transpose;
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;
use crate::{Args, Clock, Cpu};

/// Words of one task: the bias of S, Kᵀ, Vᵀ, S, dP, factors, and Q, K, dO.
fn backward_words(attention: &Attention) -> usize {
    let sizes = Sizes::new(attention);
    let words = sizes.keys * (1 + 2 * attention.head_size + 2 * sizes.queries)
        + sizes.factor_words()
        + 3 * sizes.copy_words(attention);
    words.next_multiple_of(LANES)
}

pub(in super::super) fn backward_scratch(attention: &Attention, cpu: &Cpu) -> usize {
    tasks(attention, cpu) * backward_words(attention) + LANES
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

pub(in super::super) fn backward(attention: &Attention, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let ([qkv, o, dout, lse, dqkv], scratch) = args.split();
    let Attention { tokens, heads, head_size, .. } = *attention;
    let (width, sizes) = (attention.width(), Sizes::new(attention));
    let (qkv, o, dout, lse) = (qkv.f32(), o.f32(), dout.f32(), lse.f32());
    attention.check(qkv, &[o, dout], lse);
    assert!(dqkv.f32().len() == qkv.len(), "{attention:?}");
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
                // SAFETY: the rows exist (checked above), Kᵀ, Vᵀ and the bias are whole vectors, and C is ours.
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
                // SAFETY: B has whole vectors (checked above, or copied), and this part of dqkv is ours.
                unsafe { product.run(cpu.isa) };
            };
            product(dweights, false, k_rows, to(0, queries.start, count));
            product(dweights, true, q_rows, to(1, 0, tokens));
            product(scores, true, dout_rows, to(2, 0, tokens));
        }
    });
}
