//! VGG-16 (Simonyan and Zisserman 2015) with batch normalisation.

use crate::head::{Head, HeadActivation, check};
use crate::{Input, Model};
use engine::layers::{BatchNorm, Conv2d};
use engine::{Graph, Parameters, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Convolutions of each group and their channels, in widths; a 2x2 max pooling follows each group.
const GROUPS: [(usize, usize); 5] = [(2, 1), (2, 2), (3, 4), (3, 8), (3, 8)];

/// Shape of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VggConfig {
    /// Classes.
    pub classes: usize,
    /// Height and width of an image, a multiple of 32.
    pub image_size: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Channels of the first group; the others have two, four, eight and eight times as many.
    pub width: usize,
    /// Width of the head's hidden layers.
    pub head_hidden: usize,
    /// What follows the head's hidden layers.
    pub head_activation: HeadActivation,
}

impl Default for VggConfig {
    fn default() -> Self {
        Self {
            classes: 200,
            image_size: 64,
            channels: 3,
            width: 64,
            head_hidden: 1024,
            head_activation: HeadActivation::Relu,
        }
    }
}

impl VggConfig {
    /// What must hold of the sizes; says which key is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { classes, image_size, channels, width, head_hidden, head_activation } = *self;
        check([classes, image_size, channels, width, head_hidden], head_activation)?;
        if !image_size.is_multiple_of(32) {
            return Err(format!(
                "model.image_size is {image_size}, VGG-16 halves it five times: a multiple of 32"
            ));
        }
        Ok(())
    }
}

/// Thirteen 3x3 convolutions, each with bias, batch norm and ReLU, in five groups with a max pooling behind each; then a
/// head of two hidden layers.
///
/// 18,075,912 parameters for images of 64x64 in 200 classes, 16,308,298 for 32x32 in 10 (Hare & Tortoise code:
/// `src/models/backbones/vgg.py`).
#[derive(Debug)]
pub struct Vgg {
    config: VggConfig,
    parameters: Parameters,
    groups: Vec<Vec<(Conv2d, BatchNorm)>>,
    head: Head,
}

impl Vgg {
    /// Registers the layers. All sizes must be at least 1, the images a multiple of 32.
    pub fn new(config: VggConfig) -> Self {
        let mut parameters = Parameters::new();
        let (mut groups, mut inputs, mut index) = (Vec::new(), config.channels, 0);
        for (layers, widths) in GROUPS {
            let (mut group, outputs) = (Vec::new(), widths * config.width);
            for _ in 0..layers {
                index += 1;
                let name = format!("backbone.conv{index}");
                let conv = Conv2d::new(&mut parameters, &name, [inputs, outputs], 3, 1, 1, true);
                group.push((conv, BatchNorm::new(&mut parameters, &format!("backbone.bn{index}"), outputs)));
                inputs = outputs;
            }
            groups.push(group);
        }
        let positions = (config.image_size / 32).pow(2);
        let hidden = (2, config.head_hidden);
        let image = (inputs, positions);
        let head = Head::new(&mut parameters, image, hidden, config.classes, config.head_activation);
        Self { config, parameters, groups, head }
    }
}

impl Model for Vgg {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn input(&self) -> Input {
        let VggConfig { image_size, channels, classes, .. } = self.config;
        Input { image_size, channels, classes }
    }

    fn forward(&self, graph: &mut Graph<'_>, images: Tensor) -> Result<Tensor> {
        let mut x = images;
        for group in &self.groups {
            for (conv, norm) in group {
                let z = conv.forward(graph, x)?;
                x = norm.forward(graph, z, true, None)?;
            }
            x = graph.max_pool(x, 2, 2, 0)?;
        }
        let shape = graph.shape(x).to_vec();
        let features = graph.reshape(x, &[shape[0], shape[1..].iter().product()])?;
        self.head.forward(graph, features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HEAD;
    use engine::params::Layout;

    fn with(image_size: usize, classes: usize, head_activation: HeadActivation) -> Vgg {
        Vgg::new(VggConfig { image_size, classes, head_activation, ..VggConfig::default() })
    }

    #[test]
    fn parameter_counts_are_those_of_the_released_code() {
        assert_eq!(with(64, 200, HeadActivation::Relu).parameters().count(), 18_075_912);
        assert_eq!(with(32, 10, HeadActivation::Relu).parameters().count(), 16_308_298);
        let crelu = with(64, 200, HeadActivation::Crelu);
        let head = crelu.parameters().group(HEAD);
        assert_eq!(head.map(|segment| segment.len).sum::<usize>(), 1_778_888);
    }

    #[test]
    fn names_are_those_of_the_design_and_the_head_reads_a_flattened_image() {
        let model = with(64, 200, HeadActivation::Relu);
        let named = |name: &str| model.parameters().trained().iter().find(|s| s.name == name).unwrap();
        assert_eq!(named("backbone.conv13.weight").shape, [512, 512, 3, 3]);
        assert_eq!(named("backbone.conv1.bias").shape, [64]);
        assert_eq!(named("backbone.bn13.bias").shape, [512]);
        assert_eq!(named("head.fc1.weight").shape, [1024, 2048]);
        assert_eq!(named("head.fc1.weight").layout, Layout::FlattenedImage { channels: 512 });
        assert_eq!(named("head.fc3.weight").shape, [200, 1024]);
    }

    #[test]
    fn sizes_that_cannot_be_are_named() {
        for (config, word) in [
            (VggConfig { image_size: 48, ..VggConfig::default() }, "image_size"),
            (VggConfig { width: 0, ..VggConfig::default() }, "width"),
            (
                VggConfig { head_hidden: 7, head_activation: HeadActivation::Crelu, ..VggConfig::default() },
                "head_hidden",
            ),
            (VggConfig { width: 1 << 40, ..VggConfig::default() }, "width"),
        ] {
            assert!(config.check().unwrap_err().contains(word), "{word}");
        }
    }
}
