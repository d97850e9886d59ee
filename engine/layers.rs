//! Layers: they register their tensors in the parameter table and record their operations on a graph.

use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::ops::{BatchNormParameters, LayerNormParameters};
use crate::params::{Init, Layout, ParameterId, Parameters, StatisticId};
use kernels::matmul::Activation;

/// A fully connected layer: weight `[out, in]`, bias `[out]` if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    weight: ParameterId,
    bias: Option<ParameterId>,
    singular_vectors: Option<[StatisticId; 2]>,
}

impl Linear {
    /// Registers `name.weight` and `name.bias` with PyTorch's default initialisation.
    pub fn new(parameters: &mut Parameters, name: &str, inputs: usize, outputs: usize) -> Self {
        let init = Init::FanIn(inputs);
        Self {
            weight: parameters.add(format!("{name}.weight"), &[outputs, inputs], init),
            bias: Some(parameters.add(format!("{name}.bias"), &[outputs], init)),
            singular_vectors: None,
        }
    }

    /// Registers `name.weight` alone.
    pub fn without_bias(parameters: &mut Parameters, name: &str, inputs: usize, outputs: usize) -> Self {
        let init = Init::FanIn(inputs);
        let weight = parameters.add(format!("{name}.weight"), &[outputs, inputs], init);
        Self { weight, bias: None, singular_vectors: None }
    }

    /// Says that the layer reads a flattened image `[N, H, W, C]`; weight files hold it in PyTorch's order C, H, W.
    pub fn reads_flattened_image(self, parameters: &mut Parameters, channels: usize) -> Self {
        parameters.set_layout(self.weight, Layout::FlattenedImage { channels });
        self
    }

    /// Divides the weight by its largest singular value wherever it is used, and registers its singular vectors.
    pub fn spectrally_normalised(self, parameters: &mut Parameters) -> Self {
        Self { singular_vectors: Some(parameters.add_singular_vectors(self.weight)), ..self }
    }

    /// `activation(x W^T + b)` of `[N, in]`.
    ///
    /// # Errors
    /// A shape that does not fit.
    pub fn forward(&self, graph: &mut Graph<'_>, x: Tensor, activation: Activation) -> Result<Tensor> {
        match self.singular_vectors {
            None => graph.linear(x, self.weight, self.bias, activation),
            Some(vectors) => {
                graph.spectrally_normalised_linear(x, self.weight, vectors, self.bias, activation)
            }
        }
    }
}

/// A convolution with square filters: weight `[O, I, K, K]` in files and `[K, K, I, O]` in the arena, bias `[O]` if
/// there is one.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d {
    weight: ParameterId,
    bias: Option<ParameterId>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// Registers `name.weight` and, with `bias`, `name.bias`, with PyTorch's default initialisation: both uniform within
    /// `1/sqrt(I K K)`.
    pub fn new(
        parameters: &mut Parameters,
        name: &str,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
        bias: bool,
    ) -> Self {
        let init = Init::FanIn(inputs * kernel * kernel);
        let shape = [outputs, inputs, kernel, kernel];
        let weight = parameters.add(format!("{name}.weight"), &shape, init);
        parameters.set_layout(weight, Layout::Convolution);
        let bias = bias.then(|| parameters.add(format!("{name}.bias"), &[outputs], init));
        Self { weight, bias, stride, padding }
    }

    /// The convolution of `[N, H, W, I]`: `[N, OH, OW, O]`.
    ///
    /// # Errors
    /// A shape that does not fit.
    pub fn forward(&self, graph: &mut Graph<'_>, x: Tensor) -> Result<Tensor> {
        graph.conv2d(x, self.weight, self.bias, self.stride, self.padding)
    }
}

/// Batch normalisation over all axes but the last.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    parameters: BatchNormParameters,
}

impl BatchNorm {
    /// Registers `name.weight`, `.bias`, `.running_mean` and `.running_var` for `[..., channels]`, with PyTorch's
    /// defaults: eps 1e-5, momentum 0.1.
    pub fn new(parameters: &mut Parameters, name: &str, channels: usize) -> Self {
        let shape = [channels];
        let (one, zero) = (Init::Constant(1.0), Init::Constant(0.0));
        Self {
            parameters: BatchNormParameters {
                weight: parameters.add(format!("{name}.weight"), &shape, one),
                bias: parameters.add(format!("{name}.bias"), &shape, zero),
                running_mean: parameters.add_statistic(format!("{name}.running_mean"), &shape, zero),
                running_var: parameters.add_statistic(format!("{name}.running_var"), &shape, one),
                eps: 1e-5,
                momentum: 0.1,
            },
        }
    }

    /// Normalises; adds `residual` if there is one, then rectifies if `relu`, all in the same kernel.
    ///
    /// # Errors
    /// A shape that does not fit.
    pub fn forward(
        &self,
        graph: &mut Graph<'_>,
        x: Tensor,
        relu: bool,
        residual: Option<Tensor>,
    ) -> Result<Tensor> {
        graph.batch_norm(x, &self.parameters, relu, residual)
    }
}

/// Layer normalisation over the last axis.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    parameters: LayerNormParameters,
}

impl LayerNorm {
    /// Registers `name.weight` and `name.bias` for `[..., width]`, with PyTorch's default: eps 1e-5.
    pub fn new(parameters: &mut Parameters, name: &str, width: usize) -> Self {
        let mut add = |word: &str, first: f32| {
            parameters.add(format!("{name}.{word}"), &[width], Init::Constant(first))
        };
        Self {
            parameters: LayerNormParameters { weight: add("weight", 1.0), bias: add("bias", 0.0), eps: 1e-5 },
        }
    }

    /// Normalises.
    ///
    /// # Errors
    /// A shape that does not fit.
    pub fn forward(&self, graph: &mut Graph<'_>, x: Tensor) -> Result<Tensor> {
        graph.layer_norm(x, &self.parameters)
    }

    /// `sum = residual + dropout(branch)`, and the sum normalised: both.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn add_forward(
        &self,
        graph: &mut Graph<'_>,
        residual: Tensor,
        branch: Tensor,
        dropout: f32,
    ) -> Result<(Tensor, Tensor)> {
        graph.add_layer_norm(residual, branch, dropout, &self.parameters)
    }
}
