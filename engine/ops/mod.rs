//! Operations on graphs, one file each: shape rule, kernel, gradient rule.

mod add;
mod batch_norm;
mod conv2d;
mod crelu;
mod cross_entropy;
mod dropout;
mod linear;
mod pool;
mod relu;

pub use batch_norm::BatchNormParameters;
pub use cross_entropy::Loss;
