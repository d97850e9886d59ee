//! The networks of the experiments, made of the engine's layers and nothing else.
//!
//! Architecture invariants:
//! - A model registers its tensors under PyTorch's names and records its forward pass; it knows no data set and no
//!   training loop.
//! - Activations are channels last; the last layer gives logits `[N, classes]`.

mod cnn;
mod head;
mod mlp;
mod resnet;
mod vgg;
mod vit;
mod vit_block;

pub use cnn::{Cnn, CnnConfig};
pub use head::HeadActivation;
pub use mlp::{Mlp, MlpConfig};
pub use resnet::{ResNet, ResNetConfig};
pub use vgg::{Vgg, VggConfig};
pub use vit::{Vit, VitConfig};
pub use vit_block::{VitBlock, VitBlockConfig};

use engine::params::Segment;
use engine::{Graph, Parameters, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Which model, and its sizes: the `[model]` section of a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum ModelConfig {
    /// The multi-layer perceptron.
    #[serde(rename = "mlp")]
    Mlp(MlpConfig),
    /// The convolutional network without skip connections.
    #[serde(rename = "cnn")]
    Cnn(CnnConfig),
    /// The residual network.
    #[serde(rename = "resnet18")]
    ResNet18(ResNetConfig),
    /// The plain deep network.
    #[serde(rename = "vgg16")]
    Vgg16(VggConfig),
    /// The vision transformer.
    #[serde(rename = "vit-tiny")]
    VitTiny(VitConfig),
    /// The vision transformer of one block.
    #[serde(rename = "vit-block")]
    VitBlock(VitBlockConfig),
}

impl ModelConfig {
    /// The names of all models.
    pub const NAMES: [&str; 6] = ["mlp", "cnn", "resnet18", "vgg16", "vit-tiny", "vit-block"];

    /// The default sizes of a model; `None` for an unknown name.
    pub fn default_for(name: &str) -> Option<Self> {
        match name {
            "mlp" => Some(Self::Mlp(MlpConfig::default())),
            "cnn" => Some(Self::Cnn(CnnConfig::default())),
            "resnet18" => Some(Self::ResNet18(ResNetConfig::default())),
            "vgg16" => Some(Self::Vgg16(VggConfig::default())),
            "vit-tiny" => Some(Self::VitTiny(VitConfig::default())),
            "vit-block" => Some(Self::VitBlock(VitBlockConfig::default())),
            _ => None,
        }
    }

    /// The same model with other values for the keys that it names only where they are not at their default: keys that came
    /// after runs had been named by their configs. As a table it names every key that there is.
    pub fn naming_every_key(&self) -> Self {
        match self.clone() {
            Self::Mlp(mlp) => {
                let init = Initialisation::LecunNormal;
                Self::Mlp(MlpConfig { layer_norm: true, spectral_norm: true, init, ..mlp })
            }
            other => other,
        }
    }

    /// The same model with another number of outputs.
    pub fn with_classes(&self, classes: usize) -> Self {
        let mut model = self.clone();
        *match &mut model {
            Self::Mlp(config) => &mut config.classes,
            Self::Cnn(config) => &mut config.classes,
            Self::ResNet18(config) => &mut config.classes,
            Self::Vgg16(config) => &mut config.classes,
            Self::VitTiny(config) => &mut config.classes,
            Self::VitBlock(config) => &mut config.classes,
        } = classes;
        model
    }

    /// Builds the model.
    ///
    /// # Errors
    /// A size that cannot be: the key and what it must be.
    pub fn build(&self) -> Result<Box<dyn Model>, String> {
        let model: Box<dyn Model> = match self {
            Self::Mlp(config) => {
                config.check()?;
                Box::new(Mlp::new(config.clone()))
            }
            Self::Cnn(config) => {
                config.check()?;
                Box::new(Cnn::new(config.clone()))
            }
            Self::ResNet18(config) => {
                config.check()?;
                Box::new(ResNet::new(config.clone()))
            }
            Self::Vgg16(config) => {
                config.check()?;
                Box::new(Vgg::new(config.clone()))
            }
            Self::VitTiny(config) => {
                config.check()?;
                Box::new(Vit::new(config.clone()))
            }
            Self::VitBlock(config) => {
                config.check()?;
                Box::new(VitBlock::new(config.clone()))
            }
        };
        let count = model.parameters().count();
        if count > i32::MAX as usize {
            return Err(format!(
                "{count} parameters are more than 32-bit indices count: a smaller model.width"
            ));
        }
        Ok(model)
    }
}

/// How the weights of linear layers and convolutions begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initialisation {
    /// As in PyTorch: weights and biases uniform within `1/sqrt(fan_in)`.
    #[default]
    Torch,
    /// As in Flax, but not cut at two standard deviations: weights normal of variance `1 / fan_in`, biases 0.
    LecunNormal,
}

impl Initialisation {
    fn apply(self, parameters: &mut Parameters) {
        if self == Self::LecunNormal {
            parameters.begin_lecun_normal();
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The group of the parameters that make the features.
pub const BACKBONE: &str = "backbone";
/// The group of the parameters that make the logits of the features.
pub const HEAD: &str = "head";

/// A network that turns images `[N, H, W, C]` into logits `[N, classes]`.
pub trait Model: std::fmt::Debug + Send + Sync {
    /// Its tensors.
    fn parameters(&self) -> &Parameters;
    /// Height, width and channels of an image, and number of classes.
    fn input(&self) -> Input;
    /// The backbone's tensor that the released code of Hare & Tortoise creates last, where `named_parameters` ends;
    /// `None` if the backbone has none.
    fn last_backbone_tensor(&self) -> Option<&Segment> {
        self.parameters().group(BACKBONE).next_back()
    }
    /// Records the forward pass.
    ///
    /// # Errors
    /// An input of another shape.
    fn forward(&self, graph: &mut Graph<'_>, images: Tensor) -> Result<Tensor>;
}

/// What a model takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Height and width of an image.
    pub image_size: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Classes of the logits.
    pub classes: usize,
}
