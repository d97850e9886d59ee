//! `y = dropout(gelu(x))`; dx = mask gelu'(x) dy.

use crate::error::Result;
use crate::graph::{Flow, Gradient, Gradients, Graph, Tensor};
use kernels::dropout::Mask;
use kernels::gelu;

#[derive(Debug)]
struct Gelu {
    x: Tensor,
    y: Tensor,
    mask: Option<Mask>,
}

impl Graph<'_> {
    /// The exact GELU, element by element, followed by dropout with probability `rate`.
    ///
    /// # Errors
    /// A rate outside `[0, 1)`.
    pub fn gelu(&mut self, x: Tensor, rate: f32) -> Result<Tensor> {
        let mask = self.dropout_mask(rate)?;
        let y = self.activation_like(x);
        let kernel = gelu::Gelu { len: self.len(x), mask };
        self.push_with_flow(
            "gelu",
            kernel,
            &[x, y],
            Some(Box::new(Gelu { x, y, mask })),
            Flow::Activate { x, y },
        );
        Ok(y)
    }
}

impl Gradient for Gelu {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let dx = graph.activation_like(self.x);
        let kernel = gelu::GeluBackward { len: graph.len(self.x), mask: self.mask };
        graph.push("gelu backward", kernel, &[self.x, dy, dx], None);
        gradients.add(graph, self.x, dx)
    }
}
