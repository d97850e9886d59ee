//! Batch normalisation over all axes but the last, with an optional fused ReLU.
//!
//! Formulas: `kernels::batch_norm`. Training graphs use the batch's statistics and update the running ones;
//! evaluation graphs use the running ones and have no gradient.

use crate::autograd::Gradients;
use crate::error::{Error, Result};
use crate::graph::{Gradient, Graph, Tensor};
use crate::params::{ParameterId, StatisticId};
use kernels::arena::Copy;
use kernels::batch_norm::{BatchNormBackward, BatchNormForward, BatchNormInference};

/// The tensors of one batch-norm layer, and PyTorch's two constants.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormParameters {
    /// Scale, `[C]`.
    pub weight: ParameterId,
    /// Shift, `[C]`.
    pub bias: ParameterId,
    /// Running mean, `[C]`.
    pub running_mean: StatisticId,
    /// Running variance (unbiased), `[C]`.
    pub running_var: StatisticId,
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the new batch in the running statistics.
    pub momentum: f32,
}

#[derive(Debug)]
struct BatchNorm {
    x: Tensor,
    y: Tensor,
    saved: Tensor,
    weight: (ParameterId, Tensor),
    bias: ParameterId,
    relu: bool,
}

impl Graph<'_> {
    /// Batch normalisation of `[..., C]`, followed by ReLU if `relu`.
    ///
    /// # Errors
    /// Another number of channels than the layer has; in training, fewer than two values per channel (the unbiased
    /// variance does not exist, as in PyTorch).
    pub fn batch_norm(&mut self, x: Tensor, layer: &BatchNormParameters, relu: bool) -> Result<Tensor> {
        let name = self.layer_name(layer.weight);
        let label = format!("batch_norm {name}");
        let shape = self.shape(x).to_vec();
        let weight = self.parameter(layer.weight);
        let channels = self.len(weight);
        if shape.last() != Some(&channels) {
            return Err(Error::shape(
                label,
                format!("x has shape {shape:?}, {channels} channels expected last"),
            ));
        }
        let rows = self.len(x) / channels;
        let bias = self.parameter(layer.bias);
        let (mean, var) = (self.statistic(layer.running_mean), self.statistic(layer.running_var));
        let y = self.activation(&shape);
        if !self.is_training() {
            let kernel = BatchNormInference { rows, channels, eps: layer.eps, relu, residual: false };
            self.push(label, kernel, &[x, weight, bias, mean, var, y], None);
            return Ok(y);
        }
        if rows < 2 {
            return Err(Error::shape(
                label,
                format!(
                    "x has shape {shape:?}: training needs at least 2 values per channel; choose another batch size"
                ),
            ));
        }
        let saved = self.activation(&[2, channels]);
        let kernel = BatchNormForward {
            rows,
            channels,
            eps: layer.eps,
            momentum: layer.momentum,
            relu,
            residual: false,
        };
        let rule = BatchNorm { x, y, saved, weight: (layer.weight, weight), bias: layer.bias, relu };
        self.push(label, kernel, &[x, weight, bias, mean, var, y, saved], Some(Box::new(rule)));
        Ok(y)
    }
}

impl Gradient for BatchNorm {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = gradients.of(graph, self.y) else { return Ok(()) };
        let channels = graph.len(self.weight.1);
        let rows = graph.len(self.x) / channels;
        let shape = graph.shape(self.x).to_vec();
        let dx = graph.activation(&shape);
        let dweight = gradients.target(graph, self.weight.0);
        let dbias = gradients.target(graph, self.bias);
        let label = format!("batch_norm backward {}", graph.layer_name(self.weight.0));
        let kernel = BatchNormBackward { rows, channels, relu: self.relu, residual: false };
        // dy may be needed elsewhere: its copy becomes dx.
        graph.push("gradient to overwrite", Copy { len: rows * channels }, &[dx, dy], None);
        let mut tensors = vec![self.x];
        tensors.extend(self.relu.then_some(self.y));
        tensors.extend([self.weight.1, self.saved, dx, dweight, dbias]);
        graph.push(label, kernel, &tensors, None);
        gradients.written(graph, self.weight.0, dweight);
        gradients.written(graph, self.bias, dbias);
        gradients.add(graph, self.x, dx)
    }
}
