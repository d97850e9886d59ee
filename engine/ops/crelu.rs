//! `y = [max(x, 0), max(-x, 0)]`: concatenated rectifiers (Shang et al. 2016), `[..., C]` to `[..., 2 C]`.

use crate::error::{Error, Result};
use crate::graph::{Flow, Gradient, Gradients, Graph, Tensor};
use kernels::elementwise;

#[derive(Debug)]
struct Crelu {
    x: Tensor,
    y: Tensor,
}

impl Graph<'_> {
    /// Both rectifiers of each row, one behind the other: `[..., C]` to `[..., 2 C]`.
    ///
    /// # Errors
    /// A tensor without axes.
    pub fn crelu(&mut self, x: Tensor) -> Result<Tensor> {
        let mut shape = self.shape(x).to_vec();
        let Some(last) = shape.last_mut() else {
            return Err(Error::shape("crelu", "x has no axis"));
        };
        let channels = std::mem::replace(last, 2 * *last);
        let y = self.activation(&shape);
        let kernel = elementwise::Crelu { rows: self.len(x) / channels, channels };
        self.push_with_flow(
            "crelu",
            kernel,
            &[x, y],
            Some(Box::new(Crelu { x, y })),
            Flow::Activate { x, y },
        );
        Ok(y)
    }
}

impl Gradient for Crelu {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let shape = graph.shape(self.x).to_vec();
        let channels = shape[shape.len() - 1];
        let dx = graph.activation(&shape);
        let kernel = elementwise::CreluBackward { rows: graph.len(self.x) / channels, channels };
        graph.push("crelu backward", kernel, &[self.x, dy, dx], None);
        gradients.add(graph, self.x, dx)
    }
}
