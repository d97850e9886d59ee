//! How the loss bends and how the gradients of single examples lie to each other (Lyle et al., *Understanding plasticity in
//! neural networks*, ICML 2023, Sections 2.1 and 4.2): products with the Hessian on a device, and on the host the
//! spectrum that they show.

mod clusters;
mod covariance;
mod lanczos;
mod noise;
mod product;
mod saved_run;
mod spectrum;

pub use clusters::{Clusters, k_means};
pub use covariance::{Covariance, Input, Record, gradient_covariance};
pub use lanczos::{Tridiagonal, lanczos};
pub use noise::NoiseLoss;
pub use product::HessianMemory;
pub use saved_run::{Objective, SavedRun};
pub use spectrum::{Ritz, Spectrum};
