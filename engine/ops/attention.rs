//! Multi-head self-attention, fused; its gradient is computed from the same projections and the log-sum-exp of each row.
//!
//! Formulas: `kernels::attention`.

use crate::error::{Error, Result};
use crate::graph::{Gradient, Gradients, Graph, Tensor};
use kernels::attention::{self, AttentionBackward, AttentionForward};

#[derive(Debug)]
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
