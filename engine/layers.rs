//! Layers: they register their tensors in the parameter table and record their operations on a graph.

use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::ops::BatchNormParameters;
use crate::params::{Init, ParameterId, Parameters, Role};
use kernels::matmul::Activation;

/// A fully connected layer: weight `[out, in]`, bias `[out]`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    weight: ParameterId,
    bias: ParameterId,
}

impl Linear {
    /// Registers `name.weight` and `name.bias` with PyTorch's default initialisation.
    pub fn new(parameters: &mut Parameters, name: &str, inputs: usize, outputs: usize) -> Self {
        let init = Init::FanIn(inputs);
        Self {
            weight: parameters.add(format!("{name}.weight"), &[outputs, inputs], Role::Weight, init),
            bias: parameters.add(format!("{name}.bias"), &[outputs], Role::Bias, init),
        }
    }

    /// Says that the layer reads a flattened image `[N, H, W, C]`; weight files hold it in PyTorch's order C, H, W.
    pub fn reads_flattened_image(self, parameters: &mut Parameters, channels: usize) -> Self {
        parameters.set_flattened_image(self.weight, channels);
        self
    }

    /// `activation(x W^T + b)` of `[N, in]`.
    ///
    /// # Errors
    /// A shape that does not fit.
    pub fn forward(&self, graph: &mut Graph<'_>, x: Tensor, activation: Activation) -> Result<Tensor> {
        graph.linear(x, self.weight, Some(self.bias), activation)
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
                weight: parameters.add(format!("{name}.weight"), &shape, Role::Norm, one),
                bias: parameters.add(format!("{name}.bias"), &shape, Role::Norm, zero),
                running_mean: parameters.add_statistic(format!("{name}.running_mean"), &shape, zero),
                running_var: parameters.add_statistic(format!("{name}.running_var"), &shape, one),
                eps: 1e-5,
                momentum: 0.1,
            },
        }
    }

    /// Normalises; with `relu`, rectifies in the same kernel.
    ///
    /// # Errors
    /// A shape that does not fit.
    pub fn forward(&self, graph: &mut Graph<'_>, x: Tensor, relu: bool) -> Result<Tensor> {
        graph.batch_norm(x, &self.parameters, relu)
    }
}
