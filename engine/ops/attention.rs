//! Multi-head self-attention, fused; its gradient is computed from the same projections and the log-sum-exp of each row.
//!
//! Formulas: `kernels::attention`. Tangents are for graphs without dropout; they are not fused, but made of products of
//! matrices, one for each head, and of softmaxes.

use crate::error::{Error, Result};
use crate::graph::{Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use kernels::attention::{self, AttentionBackward, AttentionForward, MergeHeads, SplitHeads};
use kernels::matmul::{Activation, Matmul};
use kernels::softmax::{Softmax, SoftmaxGradientTangent, SoftmaxTangent};

#[derive(Clone, Copy, Debug)]
struct Attention {
    attention: attention::Attention,
    qkv: Tensor,
    o: Tensor,
    lse: Tensor,
}

impl Graph<'_> {
    /// Attention over sequences of `tokens`, with dropout of the attention weights: from the queries, keys and values of
    /// all heads, `[N T, 3 H d]`, to `[N T, H d]`.
    ///
    /// # Errors
    /// A shape that is not made of whole sequences and heads; a rate outside `[0, 1)`.
    pub fn attention(&mut self, qkv: Tensor, tokens: usize, heads: usize, rate: f32) -> Result<Tensor> {
        let shape = self.shape(qkv).to_vec();
        let &[rows, width] = &shape[..] else {
            return Err(Error::shape("attention", format!("qkv has shape {shape:?}, [N T, 3 H d] expected")));
        };
        if tokens == 0 || heads == 0 || rows % tokens > 0 || width % (3 * heads) > 0 {
            return Err(Error::shape(
                "attention",
                format!("qkv has shape {shape:?}: no whole sequences of {tokens} and 3 times {heads} heads"),
            ));
        }
        let head_size = width / 3 / heads;
        let longest = attention::Attention::LONGEST_HEAD;
        if head_size > longest {
            let message =
                format!("qkv has shape {shape:?}: heads of {head_size}, at most {longest} are possible");
            return Err(Error::shape("attention", message));
        }
        let mask = self.dropout_mask(rate)?;
        let attention = attention::Attention { batch: rows / tokens, tokens, heads, head_size, mask };
        let o = self.activation(&[rows, width / 3]);
        let lse = self.activation(&[rows / tokens, heads, tokens]);
        let rule = Attention { attention, qkv, o, lse };
        self.push("attention", AttentionForward(attention), &[qkv, o, lse], Some(Box::new(rule)));
        if mask.is_none() {
            self.moves(rule);
        }
        Ok(o)
    }
}

impl Gradient for Attention {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dout) = gradients.take(graph, self.o) else { return Ok(()) };
        let shape = graph.shape(self.qkv).to_vec();
        let dqkv = graph.activation(&shape);
        let tensors = [self.qkv, self.o, dout, self.lse, dqkv];
        graph.push("attention backward", AttentionBackward(self.attention), &tensors, None);
        gradients.add(graph, self.qkv, dqkv)
    }
}

/// Which product of two matrices of a head.
#[derive(Clone, Copy, PartialEq)]
enum Product {
    /// `a bᵀ`, `[T, d]` both: `[T, T]`.
    OfRows,
    /// `a b`, `[T, T]` and `[T, d]`: `[T, d]`.
    Weighted,
    /// `aᵀ b`, `[T, T]` and `[T, d]`: `[T, d]`.
    WeightedByColumns,
}

/// Each with its tangent: queries, keys and values `[N, H, T, d]`, and the attention weights P `[N, H, T, T]`.
struct Heads {
    q: [Tensor; 2],
    k: [Tensor; 2],
    v: [Tensor; 2],
    p: [Tensor; 2],
}

impl Attention {
    /// `[N, T, 3, H, d]` as three, `[N, T, H, d]` as one.
    fn split<const PARTS: usize>(&self, graph: &mut Graph<'_>, joined: Tensor) -> [Tensor; PARTS] {
        let attention::Attention { batch, tokens, heads, head_size, .. } = self.attention;
        let parts = [(); PARTS].map(|()| graph.activation(&[batch, heads, tokens, head_size]));
        let tensors: Vec<Tensor> = std::iter::once(joined).chain(parts).collect();
        let kernel = SplitHeads { attention: self.attention, parts: PARTS };
        graph.push("attention tangent: split heads", kernel, &tensors, None);
        parts
    }

    /// The other way round, into a tensor of the shape of another.
    fn merge(&self, graph: &mut Graph<'_>, parts: &[Tensor], like: Tensor) -> Tensor {
        let joined = graph.activation_like(like);
        let tensors: Vec<Tensor> = parts.iter().copied().chain([joined]).collect();
        let kernel = MergeHeads { attention: self.attention, parts: parts.len() };
        graph.push("attention tangent: merge heads", kernel, &tensors, None);
        joined
    }

    fn product(&self, graph: &mut Graph<'_>, kind: Product, a: Tensor, b: Tensor) -> Tensor {
        let attention::Attention { batch, tokens, heads, head_size, .. } = self.attention;
        let of_rows = kind == Product::OfRows;
        let (n, k) = if of_rows { (tokens, head_size) } else { (head_size, tokens) };
        let product = graph.activation(&[batch, heads, tokens, n]);
        let kernel = Matmul {
            batch: batch * heads,
            m: tokens,
            n,
            k,
            a_transposed: kind == Product::WeightedByColumns,
            b_transposed: of_rows,
            bias: false,
            activation: Activation::None,
        };
        graph.push("attention tangent: product", kernel, &[a, b, product], None);
        product
    }

    /// How a product moves: `a' b + a b'`.
    fn product_tangent(
        &self,
        graph: &mut Graph<'_>,
        kind: Product,
        [a, a_tangent]: [Tensor; 2],
        [b, b_tangent]: [Tensor; 2],
    ) -> Tensor {
        let terms = [(a_tangent, b), (a, b_tangent)].map(|(a, b)| self.product(graph, kind, a, b));
        graph.sum(&terms).expect("there are two")
    }

    /// `scale p ∘ (a - Σ p a)`, row by row.
    fn through_softmax(&self, graph: &mut Graph<'_>, p: Tensor, a: Tensor) -> Tensor {
        let [rows, columns] = self.weights();
        let kernel = SoftmaxTangent { rows, columns, scale: self.attention.scale(), shift: 0.0 };
        let moved = graph.activation_like(p);
        graph.push("attention tangent: softmax", kernel, &[p, a, moved], None);
        moved
    }

    /// Rows and columns of the attention weights of all heads.
    fn weights(&self) -> [usize; 2] {
        let attention::Attention { batch, tokens, heads, .. } = self.attention;
        [batch * heads * tokens, tokens]
    }

    fn heads(&self, graph: &mut Graph<'_>, tangents: &Tangents) -> Heads {
        let qkv = tangents.of_or_zero(graph, self.qkv);
        let ([q, k, v], moved) = (self.split::<3>(graph, self.qkv), self.split::<3>(graph, qkv));
        let (q, k, v) = ([q, moved[0]], [k, moved[1]], [v, moved[2]]);
        let scores = self.product(graph, Product::OfRows, q[0], k[0]);
        let ([rows, columns], p) = (self.weights(), graph.activation_like(scores));
        let kernel = Softmax { rows, columns, scale: self.attention.scale() };
        graph.push("attention tangent: weights", kernel, &[scores, p], None);
        let scores = self.product_tangent(graph, Product::OfRows, q, k);
        let p = [p, self.through_softmax(graph, p, scores)];
        Heads { q, k, v, p }
    }
}

impl Tangent for Attention {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Heads { v, p, .. } = self.heads(graph, tangents);
        let o = self.product_tangent(graph, Product::Weighted, p, v);
        let o = self.merge(graph, &[o], self.o);
        tangents.set(graph, self.o, o);
        Ok(())
    }

    /// Makes the heads again: they would take more memory than all else.
    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(dout) = tangents.take(graph, self.o) else { return Ok(()) };
        let Heads { q, k, v, p } = self.heads(graph, tangents);
        let dout = dout.map(|dout| self.split::<1>(graph, dout)[0]);
        let dv = self.product_tangent(graph, Product::WeightedByColumns, p, dout);
        let dp = self.product(graph, Product::OfRows, dout[0], v[0]);
        let dp_tangent = self.product_tangent(graph, Product::OfRows, dout, v);
        let ds = self.through_softmax(graph, p[0], dp);
        let ds_tangent = graph.activation_like(ds);
        let ([rows, columns], scale) = (self.weights(), self.attention.scale());
        let kernel = SoftmaxGradientTangent { rows, columns, scale };
        let tensors = [p[0], p[1], dp, dp_tangent, ds_tangent];
        graph.push("attention tangent: gradient of scores", kernel, &tensors, None);
        let ds = [ds, ds_tangent];
        let dq = self.product_tangent(graph, Product::Weighted, ds, k);
        let dk = self.product_tangent(graph, Product::WeightedByColumns, ds, q);
        let dqkv = self.merge(graph, &[dq, dk, dv], self.qkv);
        tangents.add(graph, self.qkv, dqkv);
        Ok(())
    }
}
