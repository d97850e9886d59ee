//! Curvature of the loss: products with its Hessian on a device, and on the host the spectrum that they show.

mod lanczos;
mod product;
mod spectrum;

pub use lanczos::{Tridiagonal, lanczos};
pub use product::HessianMemory;
pub use spectrum::{Ritz, Spectrum};
