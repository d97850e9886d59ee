//! Operations on graphs, one file each: shape rule, kernel, gradient rule.

mod add;
mod attention;
mod batch_norm;
mod categorical;
mod conv2d;
mod crelu;
mod cross_entropy;
mod dropout;
mod gelu;
mod layer_norm;
mod linear;
mod pool;
mod relu;
mod spectral_norm;
mod tokens;
mod value;

pub use batch_norm::BatchNormParameters;
pub use cross_entropy::Loss;
pub use layer_norm::LayerNormParameters;
pub use value::{Outcomes, ValueLoss};
