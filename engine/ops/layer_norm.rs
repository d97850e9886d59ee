//! Layer normalisation over the last axis, alone or with the residual connection before it.
//!
//! Formulas: `kernels::layer_norm`.

use crate::error::{Error, Result};
use crate::graph::{Gradient, Gradients, Graph, Tensor};
use crate::params::ParameterId;
use kernels::dropout::Mask;
use kernels::layer_norm::{LayerNormBackward, LayerNormForward};

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

#[derive(Debug)]
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
