//! `c = a + b`, element by element; da = db = dc.

use crate::error::{Error, Result};
use crate::graph::{Gradient, Gradients, Graph, Tensor};
use kernels::elementwise;

#[derive(Debug)]
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
        self.push("add", elementwise::Add { len: self.len(a) }, &[a, b, c], Some(Box::new(Add { a, b, c })));
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
