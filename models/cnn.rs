//! The convolutional network without skip connections of *Understanding Plasticity* (Lyle and others 2023, appendix A).

use crate::{Initialisation, Input, Model};
use engine::layers::{Conv2d, LayerNorm, Linear};
use engine::{Activation, Graph, Parameters, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Shape of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CnnConfig {
    /// Classes.
    pub classes: usize,
    /// Height and width of an image.
    pub image_size: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Filters of each convolution.
    pub width: usize,
    /// Widths of the hidden fully connected layers.
    pub hidden: Vec<usize>,
    /// Layer normalisation after each convolution, over the channels of every position, and after each hidden fully
    /// connected layer.
    pub layer_norm: bool,
    /// Spectral normalisation of the first fully connected layer.
    pub spectral_norm: bool,
    /// How weights begin.
    pub init: Initialisation,
}

impl Default for CnnConfig {
    fn default() -> Self {
        Self {
            classes: 10,
            image_size: 28,
            channels: 1,
            width: 64,
            hidden: vec![256, 256],
            layer_norm: false,
            spectral_norm: false,
            init: Initialisation::LecunNormal,
        }
    }
}

impl CnnConfig {
    /// What must hold of the sizes; says which key is wrong.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let Self { classes, image_size, channels, width, .. } = *self;
        let sizes =
            [("classes", classes), ("image_size", image_size), ("channels", channels), ("width", width)];
        for (key, size) in sizes.into_iter().chain(self.hidden.iter().map(|&width| ("hidden", width))) {
            if !(1..=1 << 15).contains(&size) {
                return Err(format!("model.{key} is {size}, it must be 1 to 32768"));
            }
        }
        if self.hidden.is_empty() {
            return Err("model.hidden is empty, it must be the width of at least one layer".into());
        }
        Ok(())
    }
}

/// Convolutions of 5x5 and 3x3 (`backbone.conv1`, `conv2`), flattened, then hidden fully connected layers (`backbone.fc1 fc2
/// ...`), each followed by layer norm if wanted (`backbone.ln1` and on) and by ReLU; then linear (`head.fc`).
///
/// Both convolutions have stride 2 and as many zeros on every side as half a filter: the sizes of `SAME`, which Flax
/// shifts by one pixel where the zeros are an odd number. The paper names the layers, not stride or pooling. 910,026
/// parameters on 28x28 images of one channel, 1,158,986 for CIFAR-10.
#[derive(Debug)]
pub struct Cnn {
    config: CnnConfig,
    parameters: Parameters,
    convolutions: Vec<(Conv2d, Option<LayerNorm>)>,
    hidden: Vec<(Linear, Option<LayerNorm>)>,
    head: Linear,
}

impl Cnn {
    /// Registers the layers. All sizes must be at least 1.
    pub fn new(config: CnnConfig) -> Self {
        let mut parameters = Parameters::new();
        let mut norms = 0;
        let mut norm = |parameters: &mut Parameters, width: usize| {
            norms += 1;
            config.layer_norm.then(|| LayerNorm::new(parameters, &format!("backbone.ln{norms}"), width))
        };
        let (mut inputs, mut side, mut convolutions) = (config.channels, config.image_size, Vec::new());
        for (index, kernel) in [5, 3].into_iter().enumerate() {
            let name = format!("backbone.conv{}", index + 1);
            let channels = [inputs, config.width];
            let conv = Conv2d::new(&mut parameters, &name, channels, kernel, 2, kernel / 2, true);
            convolutions.push((conv, norm(&mut parameters, config.width)));
            (inputs, side) = (config.width, side.div_ceil(2));
        }
        let (mut width, mut hidden) = (side * side * config.width, Vec::new());
        for (index, &outputs) in config.hidden.iter().enumerate() {
            let name = format!("backbone.fc{}", index + 1);
            let mut linear = Linear::new(&mut parameters, &name, width, outputs);
            if index == 0 {
                linear = linear.reads_flattened_image(&mut parameters, config.width);
            }
            if index == 0 && config.spectral_norm {
                linear = linear.spectrally_normalised(&mut parameters);
            }
            hidden.push((linear, norm(&mut parameters, outputs)));
            width = outputs;
        }
        let head = Linear::new(&mut parameters, "head.fc", width, config.classes);
        config.init.apply(&mut parameters);
        Self { config, parameters, convolutions, hidden, head }
    }
}

impl Model for Cnn {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn input(&self) -> Input {
        let CnnConfig { image_size, channels, classes, .. } = self.config;
        Input { image_size, channels, classes }
    }

    fn forward(&self, graph: &mut Graph<'_>, images: Tensor) -> Result<Tensor> {
        let mut x = images;
        for (conv, norm) in &self.convolutions {
            let mut z = conv.forward(graph, x)?;
            if let Some(norm) = norm {
                z = norm.forward(graph, z)?;
            }
            x = graph.relu(z);
        }
        let shape = graph.shape(x).to_vec();
        x = graph.reshape(x, &[shape[0], shape[1..].iter().product()])?;
        for (linear, norm) in &self.hidden {
            x = match norm {
                None => linear.forward(graph, x, Activation::Relu)?,
                Some(norm) => {
                    let z = linear.forward(graph, x, Activation::None)?;
                    let z = norm.forward(graph, z)?;
                    graph.relu(z)
                }
            };
        }
        self.head.forward(graph, x, Activation::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_are_those_of_the_paper() {
        let model = Cnn::new(CnnConfig { layer_norm: true, ..CnnConfig::default() });
        let shapes: Vec<_> =
            model.parameters().trained().iter().map(|s| (s.name.as_str(), s.shape.as_slice())).collect();
        for expected in [
            ("backbone.conv1.weight", &[64, 1, 5, 5][..]),
            ("backbone.ln1.weight", &[64]),
            ("backbone.conv2.weight", &[64, 64, 3, 3]),
            ("backbone.fc1.weight", &[256, 3136]),
            ("backbone.ln3.bias", &[256]),
            ("backbone.fc2.weight", &[256, 256]),
            ("head.fc.weight", &[10, 256]),
        ] {
            assert!(shapes.contains(&expected), "{expected:?}");
        }
        let count = |config: CnnConfig| Cnn::new(config).parameters().count();
        let weights = 1600 + 64 + 36_864 + 64 + 256 * 3137 + 256 * 257 + 10 * 257;
        assert_eq!((count(CnnConfig::default()), weights), (weights, 910_026));
        let cifar = CnnConfig { image_size: 32, channels: 3, ..CnnConfig::default() };
        assert_eq!(count(cifar), 1_158_986);
    }

    #[test]
    fn sizes_that_cannot_be_are_named() {
        let message = |config: CnnConfig| config.check().unwrap_err();
        assert!(message(CnnConfig { width: 0, ..CnnConfig::default() }).contains("model.width"));
        assert!(message(CnnConfig { hidden: vec![], ..CnnConfig::default() }).contains("model.hidden"));
        assert!(message(CnnConfig { hidden: vec![8, 0], ..CnnConfig::default() }).contains("model.hidden"));
    }
}
