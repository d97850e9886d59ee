//! `y = max(x, 0)`; dx = dy where y > 0, else 0.

use crate::error::Result;
use crate::graph::{Flow, Gradient, Gradients, Graph, Tensor};
use kernels::elementwise;

#[derive(Debug)]
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
        y
    }
}

impl Gradient for Relu {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let dx = graph.activation_like(self.x);
        graph.push(
            "relu backward",
            elementwise::ReluBackward { len: graph.len(self.x) },
            &[self.y, dy, dx],
            None,
        );
        gradients.add(graph, self.x, dx)
    }
}
