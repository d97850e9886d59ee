//! How the loss bends and how the gradients of single examples lie to each other (Lyle et al., *Understanding plasticity in
//! neural networks*, ICML 2023, Sections 2.1 and 4.2).

mod clusters;
mod covariance;
mod saved_run;

pub use clusters::{Clusters, k_means};
pub use covariance::{Covariance, Input, Record, gradient_covariance};
pub use saved_run::{Objective, SavedRun};
