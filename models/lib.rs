//! The networks of the experiments, made of the engine's layers and nothing else.
//!
//! Architecture invariants:
//! - A model registers its tensors under PyTorch's names and records its forward pass; it knows no data set and no
//!   training loop.
//! - Activations are channels last; the last layer gives logits `[N, classes]`.

mod mlp;

pub use mlp::{Mlp, MlpConfig};

use engine::{Graph, Parameters, Result, Tensor};

/// A network that turns images `[N, H, W, C]` into logits `[N, classes]`.
pub trait Model: std::fmt::Debug + Send + Sync {
    /// Its tensors.
    fn parameters(&self) -> &Parameters;
    /// Height, width and channels of an image, and number of classes.
    fn input(&self) -> Input;
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
