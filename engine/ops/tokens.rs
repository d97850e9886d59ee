//! Sequences of tokens: patches of an image, positions with a class token or without, the first token of each sequence.
//!
//! Formulas: `kernels::tokens`. All are sums and copies, so tangents go through the same kernels.

use crate::error::{Error, Result};
use crate::graph::{Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use crate::params::ParameterId;
use kernels::reduce::ColumnSum;
use kernels::tokens;

#[derive(Clone, Copy, Debug)]
struct Embed {
    kernel: tokens::Embed,
    x: Tensor,
    cls: Tensor,
    positions: Tensor,
    y: Tensor,
}

#[derive(Clone, Copy, Debug)]
struct Positions {
    x: Tensor,
    positions: Tensor,
    y: Tensor,
}

#[derive(Clone, Copy, Debug)]
struct Select {
    kernel: tokens::Select,
    x: Tensor,
    y: Tensor,
}

impl Graph<'_> {
    /// Images `[N, H, W, C]` as patches of P x P pixels, `[N, H/P W/P, P P C]`: row, column, channel within a patch. They
    /// are cut from inputs; there is no gradient.
    ///
    /// # Errors
    /// Images that are not whole patches.
    pub fn patches(&mut self, x: Tensor, patch: usize) -> Result<Tensor> {
        let shape = self.shape(x).to_vec();
        let &[batch, height, width, channels] = &shape[..] else {
            return Err(Error::shape("patches", format!("x has shape {shape:?}, [N, H, W, C] expected")));
        };
        if patch == 0 || height % patch > 0 || width % patch > 0 {
            return Err(Error::shape(
                "patches",
                format!("x has shape {shape:?}: no whole patches of {patch}x{patch}"),
            ));
        }
        let y = self.activation(&[batch, height / patch * (width / patch), patch * patch * channels]);
        self.push("patches", tokens::Patches { batch, height, width, channels, patch }, &[x, y], None);
        Ok(y)
    }

    /// A class token `[D]` before the tokens `[N, T, D]`, then positions `[T + 1, D]` added: `[N, T + 1, D]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn embed(&mut self, x: Tensor, cls: ParameterId, positions: ParameterId) -> Result<Tensor> {
        let shape = self.shape(x).to_vec();
        let (cls, positions) = (self.parameter(cls), self.parameter(positions));
        let &[batch, tokens, width] = &shape[..] else {
            return Err(Error::shape("embed", format!("x has shape {shape:?}, [N, T, D] expected")));
        };
        if self.shape(cls) != [width] || self.shape(positions) != [tokens + 1, width] {
            let (cls, positions) = (self.shape(cls), self.shape(positions));
            return Err(Error::shape(
                "embed",
                format!("x has shape {shape:?}, the class token {cls:?}, the positions {positions:?}"),
            ));
        }
        let y = self.activation(&[batch, tokens + 1, width]);
        let kernel = tokens::Embed { batch, tokens, width };
        let rule = Embed { kernel, x, cls, positions, y };
        self.push("embed", kernel, &[x, cls, positions, y], Some(Box::new(rule)));
        self.moves(rule);
        Ok(y)
    }

    /// Positions `[T, D]` added to the tokens `[N, T, D]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn add_positions(&mut self, x: Tensor, positions: ParameterId) -> Result<Tensor> {
        let positions = self.parameter(positions);
        let &[batch, tokens, width] = self.shape(x) else {
            let shape = self.shape(x);
            return Err(Error::shape("positions", format!("x has shape {shape:?}, [N, T, D] expected")));
        };
        self.expect("positions", positions, &[tokens, width])?;
        let y = self.activation_like(x);
        let kernel = tokens::Positions { batch, sequence: tokens * width };
        let rule = Positions { x, positions, y };
        self.push("positions", kernel, &[x, positions, y], Some(Box::new(rule)));
        self.moves(rule);
        Ok(y)
    }

    /// The first token of every sequence: `[N T, D]`, with T tokens each, to `[N, D]`.
    ///
    /// # Errors
    /// No whole sequences.
    pub fn select_first(&mut self, x: Tensor, tokens: usize) -> Result<Tensor> {
        let shape = self.shape(x).to_vec();
        let &[rows, width] = &shape[..] else {
            return Err(Error::shape("select_first", format!("x has shape {shape:?}, [N T, D] expected")));
        };
        if tokens == 0 || rows % tokens > 0 {
            return Err(Error::shape(
                "select_first",
                format!("x has shape {shape:?}: no whole sequences of {tokens}"),
            ));
        }
        let y = self.activation(&[rows / tokens, width]);
        let kernel = tokens::Select { batch: rows / tokens, tokens, width };
        let rule = Select { kernel, x, y };
        self.push("select first token", kernel, &[x, y], Some(Box::new(rule)));
        self.moves(rule);
        Ok(y)
    }
}

impl Gradient for Embed {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let dx = graph.activation_like(self.x);
        let dcls = gradients.target(graph, self.cls);
        let dpositions = gradients.target(graph, self.positions);
        let groups = gradients.groups(graph, self.positions, self.kernel.batch)?;
        let kernel = tokens::EmbedBackward { embed: self.kernel, groups };
        graph.push("embed backward", kernel, &[dy, dx, dcls, dpositions], None);
        gradients.written(graph, self.cls, dcls);
        gradients.written(graph, self.positions, dpositions);
        gradients.add(graph, self.x, dx)
    }
}

impl Gradient for Positions {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        if gradients.wanted(graph, self.positions) {
            let columns = graph.len(self.positions);
            let rows = graph.len(self.x) / columns;
            let groups = gradients.groups(graph, self.positions, rows)?;
            let kernel = ColumnSum { rows, columns, groups };
            let dpositions = gradients.target(graph, self.positions);
            graph.push("positions backward", kernel, &[dy, dpositions], None);
            gradients.written(graph, self.positions, dpositions);
        }
        gradients.add(graph, self.x, dy)
    }
}

impl Gradient for Select {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.take(graph, self.y) else { return Ok(()) };
        let dx = graph.activation_like(self.x);
        graph.push("select first token backward", tokens::SelectBackward(self.kernel), &[dy, dx], None);
        gradients.add(graph, self.x, dx)
    }
}

impl Tangent for Embed {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let [x, cls, positions] =
            [self.x, self.cls, self.positions].map(|tensor| tangents.of_or_zero(graph, tensor));
        let y = graph.activation_like(self.y);
        graph.push("embed tangent", self.kernel, &[x, cls, positions, y], None);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([_, dy]) = tangents.take(graph, self.y) else { return Ok(()) };
        let inputs = [self.x, self.cls, self.positions];
        let [dx, dcls, dpositions] = inputs.map(|tensor| graph.activation_like(tensor));
        let kernel = tokens::EmbedBackward { embed: self.kernel, groups: 1 };
        graph.push("embed backward tangent", kernel, &[dy, dx, dcls, dpositions], None);
        for (input, gradient) in inputs.into_iter().zip([dx, dcls, dpositions]) {
            tangents.add(graph, input, gradient);
        }
        Ok(())
    }
}

impl Tangent for Positions {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let [x, positions] = [self.x, self.positions].map(|tensor| tangents.of_or_zero(graph, tensor));
        let y = graph.activation_like(self.y);
        let sequence = graph.len(self.positions);
        let kernel = tokens::Positions { batch: graph.len(self.x) / sequence, sequence };
        graph.push("positions tangent", kernel, &[x, positions, y], None);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([_, dy]) = tangents.take(graph, self.y) else { return Ok(()) };
        let (dpositions, columns) = (graph.activation_like(self.positions), graph.len(self.positions));
        let kernel = ColumnSum { rows: graph.len(self.x) / columns, columns, groups: 1 };
        graph.push("positions backward tangent", kernel, &[dy, dpositions], None);
        tangents.add(graph, self.positions, dpositions);
        tangents.add(graph, self.x, dy);
        Ok(())
    }
}

impl Tangent for Select {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(x) = tangents.of(graph, self.x) else { return Ok(()) };
        let y = graph.activation_like(self.y);
        graph.push("select first token tangent", self.kernel, &[x, y], None);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some([_, dy]) = tangents.take(graph, self.y) else { return Ok(()) };
        let dx = graph.activation_like(self.x);
        let kernel = tokens::SelectBackward(self.kernel);
        graph.push("select first token backward tangent", kernel, &[dy, dx], None);
        tangents.add(graph, self.x, dx);
        Ok(())
    }
}
