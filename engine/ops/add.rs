//! `c = a + b`, element by element; da = db = dc. Tangents go the same ways.

use crate::error::{Error, Result};
use crate::graph::{Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use kernels::elementwise;

#[derive(Clone, Copy, Debug)]
struct Add {
    a: Tensor,
    b: Tensor,
    c: Tensor,
}

impl Graph<'_> {
    /// The sum of two tensors of one shape.
    ///
    /// # Errors
    /// Different shapes.
    pub fn add(&mut self, a: Tensor, b: Tensor) -> Result<Tensor> {
        let shape = self.shape(a).to_vec();
        if shape != self.shape(b) {
            return Err(Error::shape("add", format!("{shape:?} and {:?} differ", self.shape(b))));
        }
        let c = self.activation(&shape);
        let rule = Add { a, b, c };
        self.push("add", elementwise::Add { len: self.len(a) }, &[a, b, c], Some(Box::new(rule)));
        self.moves(rule);
        Ok(c)
    }
}

impl Gradient for Add {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dc) = gradients.take(graph, self.c) else { return Ok(()) };
        gradients.add(graph, self.a, dc)?;
        gradients.add(graph, self.b, dc)
    }
}

impl Tangent for Add {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let terms = [self.a, self.b].map(|term| tangents.of(graph, term));
        let terms: Vec<Tensor> = terms.into_iter().flatten().collect();
        if let Some(sum) = graph.sum(&terms) {
            tangents.set(graph, self.c, sum);
        }
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([_, dc]) = tangents.take(graph, self.c) else { return Ok(()) };
        tangents.add(graph, self.a, dc);
        tangents.add(graph, self.b, dc);
        Ok(())
    }
}
