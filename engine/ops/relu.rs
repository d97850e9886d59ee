//! `y = max(x, 0)`; dx = dy where y > 0, else 0.

use crate::autograd::Gradients;
use crate::error::Result;
use crate::graph::{Gradient, Graph, Tensor};
use crate::units::Flow;
use kernels::elementwise;

#[derive(Debug)]
struct Relu {
    x: Tensor,
    y: Tensor,
}

impl Graph<'_> {
    /// The rectifier, element by element.
    pub fn relu(&mut self, x: Tensor) -> Tensor {
        let shape = self.shape(x).to_vec();
        let y = self.activation(&shape);
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
        let shape = graph.shape(self.x).to_vec();
        let dx = graph.activation(&shape);
        graph.push(
            "relu backward",
            elementwise::ReluBackward { len: graph.len(self.x) },
            &[self.y, dy, dx],
            None,
        );
        gradients.add(graph, self.x, dx)
    }
}
