//! ResNet-18 (He et al. 2016) as for CIFAR: the stem is a 3x3 convolution, without max pooling.

use crate::head::{Head, HeadActivation, check};
use crate::{Input, Model};
use engine::layers::{BatchNorm, Conv2d};
use engine::{Graph, Parameters, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Shape of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResNetConfig {
    /// Classes.
    pub classes: usize,
    /// Height and width of an image.
    pub image_size: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Channels of the first stage; the others have two, four and eight times as many.
    pub width: usize,
    /// Width of the head's hidden layer.
    pub head_hidden: usize,
    /// What follows the head's hidden layer.
    pub head_activation: HeadActivation,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self {
            classes: 10,
            image_size: 32,
            channels: 3,
            width: 64,
            head_hidden: 512,
            head_activation: HeadActivation::Relu,
        }
    }
}

impl ResNetConfig {
    /// What must hold of the sizes; says which key is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { classes, image_size, channels, width, head_hidden, head_activation } = *self;
        check([classes, image_size, channels, width, head_hidden], head_activation)
    }
}

/// The stem, four stages of two blocks with 1, 2, 4 and 8 times the width, the last three of which begin with stride 2,
/// the mean over all positions, and a head of one hidden layer.
///
/// 11,436,618 parameters for 10 classes, 11,534,088 for 200 (Hare & Tortoise code: `src/models/backbones/resnet.py`).
#[derive(Debug)]
pub struct ResNet {
    config: ResNetConfig,
    parameters: Parameters,
    conv1: Conv2d,
    bn1: BatchNorm,
    blocks: Vec<Block>,
    head: Head,
}

/// `relu(bn2(conv2(relu(bn1(conv1 x)))) + shortcut(x))`.
#[derive(Debug)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    /// A 1x1 convolution and its normalisation where the shape changes, else x itself.
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl ResNet {
    /// Registers the layers. All sizes must be at least 1.
    pub fn new(config: ResNetConfig) -> Self {
        let mut parameters = Parameters::new();
        let width = config.width;
        let conv1 = Conv2d::new(&mut parameters, "backbone.conv1", [config.channels, width], 3, 1, 1, false);
        let bn1 = BatchNorm::new(&mut parameters, "backbone.bn1", width);
        let (mut blocks, mut inputs) = (Vec::new(), width);
        for (stage, outputs) in [width, 2 * width, 4 * width, 8 * width].into_iter().enumerate() {
            for block in 0..2 {
                let name = format!("backbone.layer{}.{block}", stage + 1);
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                blocks.push(Block::new(&mut parameters, &name, [inputs, outputs], stride));
                inputs = outputs;
            }
        }
        let hidden = (1, config.head_hidden);
        let head = Head::new(&mut parameters, (inputs, 1), hidden, config.classes, config.head_activation);
        Self { config, parameters, conv1, bn1, blocks, head }
    }
}

impl Block {
    fn new(parameters: &mut Parameters, name: &str, [inputs, outputs]: [usize; 2], stride: usize) -> Self {
        let named = |layer: &str| format!("{name}.{layer}");
        Self {
            conv1: Conv2d::new(parameters, &named("conv1"), [inputs, outputs], 3, stride, 1, false),
            bn1: BatchNorm::new(parameters, &named("bn1"), outputs),
            conv2: Conv2d::new(parameters, &named("conv2"), [outputs, outputs], 3, 1, 1, false),
            bn2: BatchNorm::new(parameters, &named("bn2"), outputs),
            downsample: (stride != 1 || inputs != outputs).then(|| {
                let name = named("downsample.0");
                let conv = Conv2d::new(parameters, &name, [inputs, outputs], 1, stride, 0, false);
                (conv, BatchNorm::new(parameters, &named("downsample.1"), outputs))
            }),
        }
    }

    fn forward(&self, graph: &mut Graph<'_>, x: Tensor) -> Result<Tensor> {
        let shortcut = match &self.downsample {
            Some((conv, norm)) => {
                let z = conv.forward(graph, x)?;
                norm.forward(graph, z, false, None)?
            }
            None => x,
        };
        let z = self.conv1.forward(graph, x)?;
        let y = self.bn1.forward(graph, z, true, None)?;
        let z = self.conv2.forward(graph, y)?;
        self.bn2.forward(graph, z, true, Some(shortcut))
    }
}

impl Model for ResNet {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn input(&self) -> Input {
        let ResNetConfig { image_size, channels, classes, .. } = self.config;
        Input { image_size, channels, classes }
    }

    fn forward(&self, graph: &mut Graph<'_>, images: Tensor) -> Result<Tensor> {
        let z = self.conv1.forward(graph, images)?;
        let mut x = self.bn1.forward(graph, z, true, None)?;
        for block in &self.blocks {
            x = block.forward(graph, x)?;
        }
        let features = graph.global_average_pool(x)?;
        self.head.forward(graph, features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HEAD;

    fn with(classes: usize, head_activation: HeadActivation) -> ResNet {
        ResNet::new(ResNetConfig { classes, head_activation, ..ResNetConfig::default() })
    }

    #[test]
    fn parameter_counts_are_those_of_the_released_code() {
        assert_eq!(with(10, HeadActivation::Relu).parameters().count(), 11_436_618);
        assert_eq!(with(200, HeadActivation::Relu).parameters().count(), 11_534_088);
        let crelu = with(10, HeadActivation::Crelu);
        let head = crelu.parameters().group(HEAD);
        assert_eq!(head.map(|segment| segment.len).sum::<usize>(), 136_458);
    }

    #[test]
    fn names_are_those_of_pytorch_and_only_changes_of_shape_have_a_downsample() {
        let model = with(10, HeadActivation::Relu);
        let names: Vec<_> = model.parameters().trained().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names[..2], ["backbone.conv1.weight", "backbone.bn1.weight"]);
        assert!(names.contains(&"backbone.layer4.1.conv2.weight"));
        assert_eq!(names[names.len() - 2..], ["head.fc2.weight", "head.fc2.bias"]);
        let downsamples: Vec<_> = names.iter().filter(|name| name.ends_with("downsample.0.weight")).collect();
        assert_eq!(downsamples.len(), 3);
        assert_eq!(*downsamples[0], "backbone.layer2.0.downsample.0.weight");
    }
}
