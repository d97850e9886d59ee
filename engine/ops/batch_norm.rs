//! Batch normalisation over all axes but the last, with an optional fused residual connection and ReLU.
//!
//! Formulas: `kernels::batch_norm`. Training graphs use the batch's statistics and update the running ones; evaluation
//! graphs use the running ones, so that every example has a gradient of its own.
//!
//! The backward pass overwrites the gradient of y, which nobody else needs any more, instead of taking memory for
//! another tensor of that size: with the gradient of x, or with that of the residual, if one is wanted.

use crate::error::{Error, Result};
use crate::graph::{Flow, Gradient, Gradients, Graph, NormTensors, Tangent, Tangents, Tensor};
use crate::params::{ParameterId, StatisticId};
use kernels::batch_norm::{
    BatchNormBackward, BatchNormForward, BatchNormGradientTangent, BatchNormInference,
    BatchNormInferenceBackward, BatchNormRunning, BatchNormTangent, CHANNEL_WORDS,
};

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

#[derive(Clone, Copy, Debug)]
struct BatchNorm {
    x: Tensor,
    y: Tensor,
    statistics: Statistics,
    weight: Tensor,
    bias: Tensor,
    relu: bool,
    residual: Option<Tensor>,
}

/// The statistics that x was normalised with.
#[derive(Clone, Copy, Debug)]
enum Statistics {
    /// Those of the batch, saved by the forward pass.
    Batch(Tensor),
    /// The running ones.
    Running { mean: Tensor, variance: Tensor, eps: f32 },
}

impl Graph<'_> {
    /// Batch normalisation of `[..., C]`, plus `residual` of the same shape if there is one, followed by ReLU if `relu`.
    ///
    /// # Errors
    /// Another number of channels than the layer has; a residual of another shape; in training, fewer than two values per
    /// channel (the unbiased variance does not exist, as in PyTorch).
    pub fn batch_norm(
        &mut self,
        x: Tensor,
        layer: &BatchNormParameters,
        relu: bool,
        residual: Option<Tensor>,
    ) -> Result<Tensor> {
        let (weight, bias) = (self.parameter(layer.weight), self.parameter(layer.bias));
        let label = format!("batch_norm {}", self.layer_name(weight));
        let shape = self.shape(x).to_vec();
        let channels = self.len(weight);
        if shape.last() != Some(&channels) {
            return Err(Error::shape(
                label,
                format!("x has shape {shape:?}, {channels} channels expected last"),
            ));
        }
        if let Some(added) = residual.map(|residual| self.shape(residual)).filter(|&added| added != shape) {
            return Err(Error::shape(label, format!("x has shape {shape:?}, the residual {added:?}")));
        }
        let rows = self.len(x) / channels;
        let (running_mean, running_var) =
            (self.statistic(layer.running_mean), self.statistic(layer.running_var));
        let mut tensors = vec![x, weight, bias, running_mean, running_var];
        tensors.extend(residual);
        let &BatchNormParameters { eps, momentum, .. } = layer;
        // Each channel by itself, unless a residual is added.
        let norm = NormTensors { weight, bias, running_mean, running_var };
        let flow = |y| residual.is_none().then_some(Flow::Normalise { x, norm, rectified: relu, y });
        if !self.is_training() {
            let y = self.activation(&shape);
            tensors.push(y);
            let kernel = BatchNormInference { rows, channels, eps, relu, residual: residual.is_some() };
            let statistics = Statistics::Running { mean: running_mean, variance: running_var, eps };
            let rule = BatchNorm { x, y, statistics, weight, bias, relu, residual };
            self.push_with_flow(label, kernel, &tensors, Some(Box::new(rule)), flow(y));
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
        let (y, saved) = (self.activation(&shape), self.activation(&[2, channels]));
        tensors.extend([y, saved]);
        let kernel = BatchNormForward { rows, channels, eps, momentum, relu, residual: residual.is_some() };
        let rule = BatchNorm { x, y, statistics: Statistics::Batch(saved), weight, bias, relu, residual };
        self.push_with_flow(label, kernel, &tensors, Some(Box::new(rule)), flow(y));
        self.moves(rule);
        Ok(y)
    }
}

impl Gradient for BatchNorm {
    fn backward(&self, graph: &mut Graph<'_>, gradients: &mut Gradients) -> Result<()> {
        let residual = self.residual.filter(|&residual| gradients.wanted(graph, residual));
        // Without a residual the kernel turns dy into dx, with one into the residual's gradient, which it is already
        // where no ReLU followed.
        let dy = match residual.is_some() && !self.relu {
            true => gradients.take(graph, self.y),
            false => gradients.take_exclusive(graph, self.y),
        };
        let Some(dy) = dy else { return Ok(()) };
        let channels = graph.len(self.weight);
        let rows = graph.len(self.x) / channels;
        let label = format!("batch_norm backward {}", graph.layer_name(self.weight));
        let saved = self.saved(graph, gradients, &label)?;
        let dx = match residual {
            Some(_) => graph.activation_like(self.x),
            None => dy,
        };
        let dweight = gradients.target(graph, self.weight);
        let dbias = gradients.target(graph, self.bias);
        let mut tensors = vec![self.x];
        tensors.extend(self.relu.then_some(self.y));
        tensors.extend([self.weight, saved, dy]);
        tensors.extend(residual.map(|_| dx));
        tensors.extend([dweight, dbias]);
        let (relu, residual_too) = (self.relu, residual.is_some());
        match self.statistics {
            Statistics::Batch(_) => {
                let kernel = BatchNormBackward { rows, channels, relu, residual: residual_too };
                graph.push(label, kernel, &tensors, None);
            }
            Statistics::Running { .. } => {
                let groups = gradients.groups(graph, self.weight, rows)?;
                let kernel =
                    BatchNormInferenceBackward { rows, channels, relu, residual: residual_too, groups };
                graph.push(label, kernel, &tensors, None);
            }
        }
        gradients.written(graph, self.weight, dweight);
        gradients.written(graph, self.bias, dbias);
        if let Some(residual) = residual {
            gradients.add(graph, residual, dy)?;
        }
        gradients.add(graph, self.x, dx)
    }
}

impl BatchNorm {
    /// Mean and inverse deviation of each channel, `[2, C]`.
    fn saved(&self, graph: &mut Graph<'_>, gradients: &Gradients, label: &str) -> Result<Tensor> {
        match self.statistics {
            Statistics::Batch(saved) => {
                gradients.mixes_examples(label)?;
                Ok(saved)
            }
            Statistics::Running { mean, variance, eps } => {
                let channels = graph.len(mean);
                let saved = graph.activation(&[2, channels]);
                let kernel = BatchNormRunning { channels, eps };
                graph.push(format!("{label}: statistics"), kernel, &[mean, variance, saved], None);
                Ok(saved)
            }
        }
    }
}

/// The kernels know the normalisation alone; the residual and ReLU are apart.
impl Tangent for BatchNorm {
    fn forward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Statistics::Batch(saved) = self.statistics else {
            unreachable!("only what was recorded in training moves")
        };
        let name = graph.layer_name(self.weight);
        let channels = graph.len(self.weight);
        let rows = graph.len(self.x) / channels;
        let [x, weight, bias] =
            [self.x, self.weight, self.bias].map(|tensor| tangents.of_or_zero(graph, tensor));
        let (mut y, channel) = (graph.activation_like(self.y), graph.activation(&[CHANNEL_WORDS, channels]));
        let tensors = [self.x, x, saved, self.weight, weight, bias, y, channel];
        let kernel = BatchNormTangent { rows, channels };
        graph.push(format!("batch_norm tangent {name}"), kernel, &tensors, None);
        tangents.keep(self.y, channel);
        if let Some(residual) = self.residual.and_then(|residual| tangents.of(graph, residual)) {
            y = graph.sum(&[y, residual]).expect("there are two");
        }
        if self.relu {
            y = graph.where_positive(format!("relu tangent {name}"), self.y, y);
        }
        tangents.set(graph, self.y, y);
        Ok(())
    }

    fn backward(&self, graph: &mut Graph<'_>, tangents: &mut Tangents) -> Result<()> {
        let Some(mut dy) = tangents.take(graph, self.y) else { return Ok(()) };
        let name = graph.layer_name(self.weight);
        let channels = graph.len(self.weight);
        let rows = graph.len(self.x) / channels;
        if self.relu {
            dy = dy.map(|dy| graph.where_positive(format!("relu backward {name}"), self.y, dy));
        }
        let [dy, dy_tangent] = dy;
        if let Some(residual) = self.residual {
            tangents.add(graph, residual, dy_tangent);
        }
        let x = tangents.of_or_zero(graph, self.x);
        let [dx, dweight, dbias] =
            [self.x, self.weight, self.bias].map(|tensor| graph.activation_like(tensor));
        let tensors = [self.x, x, tangents.kept(self.y), dy, dy_tangent, dx, dweight, dbias];
        let kernel = BatchNormGradientTangent { rows, channels };
        graph.push(format!("batch_norm backward tangent {name}"), kernel, &tensors, None);
        tangents.add(graph, self.x, dx);
        tangents.add(graph, self.weight, dweight);
        tangents.add(graph, self.bias, dbias);
        Ok(())
    }
}
