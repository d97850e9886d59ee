//! The networks of the experiments, made of the engine's layers and nothing else.
//!
//! Architecture invariants:
//! - A model registers its tensors under PyTorch's names and records its forward pass; it knows no data set and no
//!   training loop.
//! - Activations are channels last; the last layer gives logits `[N, classes]`.

mod head;
mod mlp;
mod resnet;
mod vgg;
mod vit;

pub use head::HeadActivation;
pub use mlp::{Mlp, MlpConfig};
pub use resnet::{ResNet, ResNetConfig};
pub use vgg::{Vgg, VggConfig};
pub use vit::{Vit, VitConfig};

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
    /// The residual network.
    #[serde(rename = "resnet18")]
    ResNet18(ResNetConfig),
    /// The plain deep network.
    #[serde(rename = "vgg16")]
    Vgg16(VggConfig),
    /// The vision transformer.
    #[serde(rename = "vit-tiny")]
    VitTiny(VitConfig),
}

impl ModelConfig {
    /// The names of all models.
    pub const NAMES: [&str; 4] = ["mlp", "resnet18", "vgg16", "vit-tiny"];

    /// The default sizes of a model; `None` for an unknown name.
    pub fn default_for(name: &str) -> Option<Self> {
        match name {
            "mlp" => Some(Self::Mlp(MlpConfig::default())),
            "resnet18" => Some(Self::ResNet18(ResNetConfig::default())),
            "vgg16" => Some(Self::Vgg16(VggConfig::default())),
            "vit-tiny" => Some(Self::VitTiny(VitConfig::default())),
            _ => None,
        }
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
