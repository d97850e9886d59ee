//! `y = [max(x, 0), max(-x, 0)]`: concatenated rectifiers (Shang et al. 2016), `[..., C]` to `[..., 2 C]`.

use crate::error::{Error, Result};
use crate::graph::{Flow, Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use kernels::elementwise;

#[derive(Clone, Copy, Debug)]
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
        self.moves(Crelu { x, y });
        Ok(y)
    }
}

impl Gradient for Crelu {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let dx = self.back(graph, "crelu backward", dy);
        gradients.add(graph, self.x, dx)
    }
}

impl Crelu {
    /// Rows and channels of x.
    fn size(&self, graph: &Graph<'_>) -> (usize, usize) {
        let channels = graph.shape(self.x).last().copied().expect("checked when the node was recorded");
        (graph.len(self.x) / channels, channels)
    }

    /// What comes back of a gradient or of its tangent.
    fn back(&self, graph: &mut Graph<'_>, label: &str, dy: Tensor) -> Tensor {
        let ((rows, channels), dx) = (self.size(graph), graph.activation_like(self.x));
        graph.push(label, elementwise::CreluBackward { rows, channels }, &[self.x, dy, dx], None);
        dx
    }
}

impl Tangent for Crelu {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(x) = tangents.of(graph, self.x) else { return Ok(()) };
        let ((rows, channels), y) = (self.size(graph), graph.activation_like(self.y));
        graph.push("crelu tangent", elementwise::CreluTangent { rows, channels }, &[self.x, x, y], None);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([_, dy]) = tangents.take(graph, self.y) else { return Ok(()) };
        let dx = self.back(graph, "crelu backward tangent", dy);
        tangents.add(graph, self.x, dx);
        Ok(())
    }
}
