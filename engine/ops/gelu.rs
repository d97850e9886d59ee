//! `y = dropout(gelu(x))`; dx = mask gelu'(x) dy. Tangents are for graphs without dropout.

use crate::error::Result;
use crate::graph::{Flow, Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use kernels::dropout::Mask;
use kernels::gelu;

#[derive(Clone, Copy, Debug)]
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
        if mask.is_none() {
            self.moves(Gelu { x, y, mask });
        }
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

impl Tangent for Gelu {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(x) = tangents.of(graph, self.x) else { return Ok(()) };
        let y = graph.activation_like(self.y);
        // y' = gelu'(x) x': the kernel of the gradient.
        let kernel = gelu::GeluBackward { len: graph.len(self.x), mask: None };
        graph.push("gelu tangent", kernel, &[self.x, x, y], None);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([dy, dy_tangent]) = tangents.take(graph, self.y) else { return Ok(()) };
        let x = tangents.of_or_zero(graph, self.x);
        let dx = graph.activation_like(self.x);
        let kernel = gelu::GeluGradientTangent { len: graph.len(self.x) };
        graph.push("gelu backward tangent", kernel, &[self.x, x, dy, dy_tangent, dx], None);
        tangents.add(graph, self.x, dx);
        Ok(())
    }
}
