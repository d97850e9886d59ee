//! `y = max(x, 0)`; dx = dy where y > 0, else 0. Tangents pass where gradients do.

use crate::error::Result;
use crate::graph::{Flow, Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use kernels::elementwise;

#[derive(Clone, Copy, Debug)]
struct Relu {
    x: Tensor,
    y: Tensor,
}

impl Graph<'_> {
    /// The rectifier, element by element.
    pub fn relu(&mut self, x: Tensor) -> Tensor {
        let y = self.activation_like(x);
        self.push_with_flow(
            "relu",
            elementwise::Relu { len: self.len(x) },
            &[x, y],
            Some(Box::new(Relu { x, y })),
            Flow::Activate { x, y },
        );
        self.moves(Relu { x, y });
        y
    }
}

impl Graph<'_> {
    /// What of a gradient or a tangent passes a rectifier with output y: all where y > 0, else 0.
    pub(super) fn where_positive(&mut self, label: impl Into<String>, y: Tensor, passing: Tensor) -> Tensor {
        let passed = self.activation_like(y);
        let kernel = elementwise::ReluBackward { len: self.len(y) };
        self.push(label, kernel, &[y, passing, passed], None);
        passed
    }
}

impl Gradient for Relu {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let dx = graph.where_positive("relu backward", self.y, dy);
        gradients.add(graph, self.x, dx)
    }
}

impl Tangent for Relu {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(x) = tangents.of(graph, self.x) else { return Ok(()) };
        let y = graph.where_positive("relu tangent", self.y, x);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([_, dy]) = tangents.take(graph, self.y) else { return Ok(()) };
        let dx = graph.where_positive("relu backward tangent", self.y, dy);
        tangents.add(graph, self.x, dx);
        Ok(())
    }
}
