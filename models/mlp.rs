//! The multi-layer perceptron of the MNIST experiments.

use crate::{Initialisation, Input, Model, is_default};
use engine::layers::{BatchNorm, LayerNorm, Linear};
use engine::{Activation, Graph, Parameters, Tensor};
use serde::{Deserialize, Serialize};

/// Shape of the MLP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Classes.
    pub classes: usize,
    /// Height and width of an image.
    pub image_size: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Widths of the hidden layers: 512 and 256 in the released Hare & Tortoise code, 100 and 100 in the paper.
    pub hidden: Vec<usize>,
    /// Batch normalisation after each hidden linear layer.
    pub batch_norm: bool,
    /// Dropout after each hidden activation.
    pub dropout: f32,
    /// Layer normalisation after each hidden linear layer; not together with batch normalisation.
    #[serde(skip_serializing_if = "is_default")]
    pub layer_norm: bool,
    /// Spectral normalisation of the first layer.
    #[serde(skip_serializing_if = "is_default")]
    pub spectral_norm: bool,
    /// How weights begin.
    #[serde(skip_serializing_if = "is_default")]
    pub init: Initialisation,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            classes: 10,
            image_size: 28,
            channels: 1,
            hidden: vec![512, 256],
            batch_norm: true,
            dropout: 0.0,
            layer_norm: false,
            spectral_norm: false,
            init: Initialisation::Torch,
        }
    }
}

impl MlpConfig {
    /// Number of weights; `None` if kernels cannot index them.
    fn parameters(&self) -> Option<usize> {
        let input = self.image_size.checked_mul(self.image_size)?.checked_mul(self.channels)?;
        let widths: Vec<usize> = [input].iter().chain(&self.hidden).chain([&self.classes]).copied().collect();
        let count =
            widths.windows(2).try_fold(0usize, |sum, pair| sum.checked_add(pair[0].checked_mul(pair[1])?))?;
        (count <= i32::MAX as usize).then_some(count)
    }

    /// What must hold of the sizes; says which key is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let sizes = [("classes", self.classes), ("image_size", self.image_size), ("channels", self.channels)];
        for (key, size) in sizes.into_iter().chain(self.hidden.iter().map(|&width| ("hidden", width))) {
            if size == 0 {
                return Err(format!("model.{key} must be at least 1"));
            }
        }
        if self.parameters().is_none() {
            return Err("model.hidden, image_size, channels and classes make more parameters than 32-bit indices count".into());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(format!("model.dropout is {}, it must be in [0, 1)", self.dropout));
        }
        if self.batch_norm && self.layer_norm {
            return Err("model.batch_norm and model.layer_norm are both true: one of them at most".into());
        }
        Ok(())
    }
}

/// What is between a hidden linear layer and its activation.
#[derive(Debug)]
enum Norm {
    None,
    Batch(BatchNorm),
    Layer(LayerNorm),
}

/// Flatten, then per hidden layer linear, batch norm, ReLU (the backbone `fc1 bn1 fc2 bn2 ...`), then linear (`head.fc`).
/// With layer norm `ln1` stands where `bn1` does.
///
/// 784-512-256-10 has 537,354 parameters, 784-100-100-10 has 90,010 (`experiments.md` 1.4 of the Hare & Tortoise code:
/// `src/models`).
#[derive(Debug)]
pub struct Mlp {
    config: MlpConfig,
    parameters: Parameters,
    hidden: Vec<(Linear, Norm)>,
    head: Linear,
}

impl Mlp {
    /// Registers the layers. All sizes must be at least 1.
    pub fn new(config: MlpConfig) -> Self {
        let mut parameters = Parameters::new();
        let mut width = config.image_size * config.image_size * config.channels;
        let mut hidden = Vec::new();
        for (index, &outputs) in config.hidden.iter().enumerate() {
            let mut linear =
                Linear::new(&mut parameters, &format!("backbone.fc{}", index + 1), width, outputs);
            if index == 0 {
                linear = linear.reads_flattened_image(&mut parameters, config.channels);
            }
            if index == 0 && config.spectral_norm {
                linear = linear.spectrally_normalised(&mut parameters);
            }
            let named = |norm: &str| format!("backbone.{norm}{}", index + 1);
            let norm = match config {
                MlpConfig { batch_norm: true, .. } => {
                    Norm::Batch(BatchNorm::new(&mut parameters, &named("bn"), outputs))
                }
                MlpConfig { layer_norm: true, .. } => {
                    Norm::Layer(LayerNorm::new(&mut parameters, &named("ln"), outputs))
                }
                _ => Norm::None,
            };
            hidden.push((linear, norm));
            width = outputs;
        }
        let mut head = Linear::new(&mut parameters, "head.fc", width, config.classes);
        if config.hidden.is_empty() {
            head = head.reads_flattened_image(&mut parameters, config.channels);
            if config.spectral_norm {
                head = head.spectrally_normalised(&mut parameters);
            }
        }
        config.init.apply(&mut parameters);
        Self { config, parameters, hidden, head }
    }
}

impl Model for Mlp {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn input(&self) -> Input {
        let MlpConfig { image_size, channels, classes, .. } = self.config;
        Input { image_size, channels, classes }
    }

    fn forward(&self, graph: &mut Graph<'_>, images: Tensor) -> engine::Result<Tensor> {
        let shape = graph.shape(images).to_vec();
        let mut x = graph.reshape(images, &[shape[0], shape[1..].iter().product()])?;
        for (linear, norm) in &self.hidden {
            x = match norm {
                Norm::None => linear.forward(graph, x, Activation::Relu)?,
                Norm::Batch(norm) => {
                    let z = linear.forward(graph, x, Activation::None)?;
                    norm.forward(graph, z, true, None)?
                }
                Norm::Layer(norm) => {
                    let z = linear.forward(graph, x, Activation::None)?;
                    let z = norm.forward(graph, z)?;
                    graph.relu(z)
                }
            };
            x = graph.dropout(x, self.config.dropout)?;
        }
        self.head.forward(graph, x, Activation::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_those_of_the_paper_and_its_code() {
        let count = |hidden: &[usize]| {
            Mlp::new(MlpConfig { hidden: hidden.to_vec(), ..MlpConfig::default() }).parameters().count()
        };
        assert_eq!(count(&[512, 256]), 537_354);
        assert_eq!(count(&[100, 100]), 90_010);
    }

    #[test]
    fn a_layer_norm_stands_where_a_batch_norm_does() {
        let config = MlpConfig { layer_norm: true, batch_norm: false, ..MlpConfig::default() };
        let model = Mlp::new(config.clone());
        let names: Vec<_> = model.parameters().trained().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names[1..4], ["backbone.fc1.bias", "backbone.ln1.weight", "backbone.ln1.bias"]);
        assert!(model.parameters().statistics().is_empty());
        let both = MlpConfig { batch_norm: true, ..config };
        assert!(both.check().unwrap_err().contains("model.batch_norm and model.layer_norm"));
    }

    #[test]
    fn names_are_those_of_the_design() {
        let model = Mlp::new(MlpConfig::default());
        let names: Vec<_> = model.parameters().trained().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(
            names[..4],
            ["backbone.fc1.weight", "backbone.fc1.bias", "backbone.bn1.weight", "backbone.bn1.bias"]
        );
        assert_eq!(names[8..], ["head.fc.weight", "head.fc.bias"]);
        assert_eq!(model.parameters().statistics()[3].name, "backbone.bn2.running_var");
    }
}
