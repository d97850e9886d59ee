//! Layer normalisation over the last axis, alone or with the residual connection before it.
//!
//! Formulas: `kernels::layer_norm`. Tangents are for graphs without dropout.

use crate::error::{Error, Result};
use crate::graph::{Gradient, Gradients, Graph, Tangent, Tangents, Tensor};
use crate::params::ParameterId;
use kernels::dropout::Mask;
use kernels::layer_norm::{LayerNormBackward, LayerNormForward, LayerNormGradientTangent, LayerNormTangent};
use kernels::reduce::ColumnSum;

/// The tensors of one layer-norm layer, and PyTorch's constant.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormParameters {
    /// Scale, `[D]`.
    pub weight: ParameterId,
    /// Shift, `[D]`.
    pub bias: ParameterId,
    /// Added to the variance.
    pub eps: f32,
}

#[derive(Clone, Copy, Debug)]
struct LayerNorm {
    /// What was normalised: x, or the sum.
    x: Tensor,
    /// The two inputs of the sum.
    added: Option<[Tensor; 2]>,
    mask: Option<Mask>,
    weight: Tensor,
    bias: Tensor,
    eps: f32,
    y: Tensor,
}

impl Graph<'_> {
    /// Normalises `[..., D]`.
    ///
    /// # Errors
    /// Another last axis than the layer has.
    pub fn layer_norm(&mut self, x: Tensor, layer: &LayerNormParameters) -> Result<Tensor> {
        let (weight, bias) = (self.parameter(layer.weight), self.parameter(layer.bias));
        let kernel = self.layer_norm_kernel(x, weight, layer.eps)?;
        let y = self.activation_like(x);
        let rule = LayerNorm { x, added: None, mask: None, weight, bias, eps: layer.eps, y };
        let label = format!("layer_norm {}", self.layer_name(weight));
        self.push(label, kernel, &[x, weight, bias, y], Some(Box::new(rule)));
        self.moves(rule);
        Ok(y)
    }

    /// `sum = residual + dropout(branch)` and `y = layer_norm(sum)`, of shape `[..., D]`, in one pass: the sum and y.
    ///
    /// # Errors
    /// Different shapes, another last axis than the layer has, a rate outside `[0, 1)`.
    pub fn add_layer_norm(
        &mut self,
        residual: Tensor,
        branch: Tensor,
        rate: f32,
        layer: &LayerNormParameters,
    ) -> Result<(Tensor, Tensor)> {
        let shape = self.shape(residual).to_vec();
        if shape != self.shape(branch) {
            return Err(Error::shape(
                "add_layer_norm",
                format!("{shape:?} and {:?} differ", self.shape(branch)),
            ));
        }
        let mask = self.dropout_mask(rate)?;
        let (weight, bias) = (self.parameter(layer.weight), self.parameter(layer.bias));
        let kernel = self.layer_norm_kernel(residual, weight, layer.eps)?;
        let kernel = LayerNormForward { branch: true, mask, ..kernel };
        let (sum, y) = (self.activation(&shape), self.activation(&shape));
        let added = Some([residual, branch]);
        let rule = LayerNorm { x: sum, added, mask, weight, bias, eps: layer.eps, y };
        let label = format!("add and layer_norm {}", self.layer_name(weight));
        self.push(label, kernel, &[residual, branch, weight, bias, sum, y], Some(Box::new(rule)));
        if mask.is_none() {
            self.moves(rule);
        }
        Ok((sum, y))
    }

    /// The kernel for x, without a branch.
    fn layer_norm_kernel(&self, x: Tensor, weight: Tensor, eps: f32) -> Result<LayerNormForward> {
        let width = self.len(weight);
        if self.shape(x).last() != Some(&width) {
            return Err(Error::shape(
                format!("layer_norm {}", self.layer_name(weight)),
                format!("x has shape {:?}, {width} values expected last", self.shape(x)),
            ));
        }
        Ok(LayerNormForward { rows: self.len(x) / width, width, eps, branch: false, mask: None })
    }
}

impl Gradient for LayerNorm {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let dsum = self.added.and_then(|_| gradients.take(graph, self.x));
        let label = graph.layer_name(self.weight);
        let Some(dy) = gradients.take(graph, self.y) else {
            return match dsum {
                None => Ok(()),
                Some(_) => Err(Error::shape(
                    format!("layer_norm {label}"),
                    "the sum reaches the loss, but what is normalised does not: use an addition",
                )),
            };
        };
        let shape = graph.shape(self.x).to_vec();
        let width = graph.len(self.weight);
        let rows = graph.len(self.x) / width;
        let kernel = LayerNormBackward {
            rows,
            width,
            eps: self.eps,
            dsum: dsum.is_some(),
            mask: self.mask,
            groups: gradients.groups(graph, self.weight, rows)?,
        };
        let dx = graph.activation(&shape);
        let dbranch = self.mask.map(|_| graph.activation(&shape));
        let dweight = gradients.target(graph, self.weight);
        let dbias = gradients.target(graph, self.bias);
        let mut tensors = vec![dy, self.x, self.weight];
        tensors.extend(dsum);
        tensors.push(dx);
        tensors.extend(dbranch);
        tensors.extend([dweight, dbias]);
        graph.push(format!("layer_norm backward {label}"), kernel, &tensors, None);
        gradients.written(graph, self.weight, dweight);
        gradients.written(graph, self.bias, dbias);
        match self.added {
            None => gradients.add(graph, self.x, dx),
            Some([residual, branch]) => {
                gradients.add(graph, residual, dx)?;
                gradients.add(graph, branch, dbranch.unwrap_or(dx))
            }
        }
    }
}

/// The kernels know the normalisation alone; the sum is apart.
impl Tangent for LayerNorm {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        if let Some(added) = self.added {
            let terms = added.map(|term| tangents.of(graph, term));
            let terms: Vec<Tensor> = terms.into_iter().flatten().collect();
            if let Some(sum) = graph.sum(&terms) {
                tangents.set(graph, self.x, sum);
            }
        }
        let [x, weight, bias] =
            [self.x, self.weight, self.bias].map(|tensor| tangents.of_or_zero(graph, tensor));
        let y = graph.activation_like(self.y);
        let width = graph.len(self.weight);
        let kernel = LayerNormTangent { rows: graph.len(self.x) / width, width, eps: self.eps };
        let label = format!("layer_norm tangent {}", graph.layer_name(self.weight));
        graph.push(label, kernel, &[self.x, x, self.weight, weight, bias, y], None);
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let dsum = self.added.and_then(|_| tangents.take(graph, self.x));
        let Some([dy, dy_tangent]) = tangents.take(graph, self.y) else { return Ok(()) };
        let label = format!("layer_norm backward tangent {}", graph.layer_name(self.weight));
        let width = graph.len(self.weight);
        let rows = graph.len(self.x) / width;
        let [x, weight] = [self.x, self.weight].map(|tensor| tangents.of_or_zero(graph, tensor));
        let (mut dx, product) = (graph.activation_like(self.x), graph.activation_like(self.x));
        let kernel = LayerNormGradientTangent { rows, width, eps: self.eps };
        let tensors = [self.x, x, self.weight, weight, dy, dy_tangent, dx, product];
        graph.push(&label, kernel, &tensors, None);
        for (parameter, terms) in [(self.weight, product), (self.bias, dy_tangent)] {
            let sum = graph.activation_like(parameter);
            graph.push(
                format!("{label}, sum"),
                ColumnSum { rows, columns: width, groups: 1 },
                &[terms, sum],
                None,
            );
            tangents.add(graph, parameter, sum);
        }
        if let Some([_, dsum]) = dsum {
            dx = graph.sum(&[dx, dsum]).expect("there are two");
        }
        match self.added {
            None => tangents.add(graph, self.x, dx),
            Some(terms) => terms.into_iter().for_each(|term| tangents.add(graph, term, dx)),
        }
        Ok(())
    }
}
