//! `y = x * mask / (1 - rate)` in training, `y = x` in evaluation.
//!
//! The mask comes from the counter-based generator, keyed by seed, step and layer: the backward pass computes it
//! again instead of storing it.

use crate::error::{Error, Result};
use crate::graph::{Flow, Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use kernels::dropout::{self, Mask};

#[derive(Clone, Copy, Debug)]
struct Dropout {
    x: Tensor,
    y: Tensor,
    rate: f32,
    layer: u32,
}

impl Graph<'_> {
    /// Dropout with probability `rate`.
    ///
    /// # Errors
    /// A rate outside `[0, 1)`.
    pub fn dropout(&mut self, x: Tensor, rate: f32) -> Result<Tensor> {
        let Some(mask) = self.dropout_mask(rate)? else { return Ok(x) };
        let Mask { rate, layer } = mask;
        let y = self.activation_like(x);
        let kernel = dropout::Dropout { len: self.len(x), rate, layer };
        self.push_with_flow(
            format!("dropout {layer}"),
            kernel,
            &[x, y],
            Some(Box::new(Dropout { x, y, rate, layer })),
            Flow::Pass { x, y },
        );
        self.moves(Dropout { x, y, rate, layer });
        Ok(y)
    }

    /// The mask of the next dropout layer, for an operation that applies it itself; `None` where nothing is dropped.
    pub(crate) fn dropout_mask(&mut self, rate: f32) -> Result<Option<Mask>> {
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::shape("dropout", format!("a rate of {rate} is not in [0, 1)")));
        }
        // Numbered in evaluation too, so that a layer has the same number in every graph.
        let network = self.current();
        let layer = network.dropouts;
        network.dropouts += 1;
        Ok((self.dropout_is_on() && rate > 0.0).then_some(Mask { rate, layer }))
    }
}

impl Gradient for Dropout {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let dx = self.again(graph, "backward", dy);
        gradients.add(graph, self.x, dx)
    }
}

impl Dropout {
    /// The same mask on a gradient or a tangent.
    fn again(&self, graph: &mut Graph<'_>, pass: &str, from: Tensor) -> Tensor {
        let to = graph.activation_like(self.x);
        let kernel = dropout::Dropout { len: graph.len(self.x), rate: self.rate, layer: self.layer };
        graph.push(format!("dropout {pass} {}", self.layer), kernel, &[from, to], None);
        to
    }
}

impl Tangent for Dropout {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(x) = tangents.of(graph, self.x) else { return Ok(()) };
        let y = self.again(graph, "tangent", x);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([_, dy]) = tangents.take(graph, self.y) else { return Ok(()) };
        let dx = self.again(graph, "backward tangent", dy);
        tangents.add(graph, self.x, dx);
        Ok(())
    }
}
