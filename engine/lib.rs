//! The engine: devices, static graphs with reverse-mode gradients, a memory planner, and replay.
//!
//! Model code records operations on a [`Graph`]; [`Graph::backward`] appends the gradient operations; a [`Plan`]
//! assigns memory by liveness; [`Device::compile`] turns the launches into a [`Program`] that is replayed every step
//! with a new [`Clock`], without allocation, upload or read-back.
//!
//! Architecture invariants:
//! - The engine knows no model, no image, no data set and no experiment. It prints nothing.
//! - Shapes are static. Whatever changes from step to step is in the [`Clock`].
//! - A kernel is launched through a [`Launch`] only, and what a launch writes overlaps nothing else it binds.
//! - Trained tensors, gradients, moments and copies are flat arenas with one layout, [`Parameters`].
//! - Adding an operation: its kernel folder, its file in `ops/`, one line in `ops/mod.rs`.

pub mod ceiling;
pub mod checkpoint;
pub mod device;
mod error;
pub mod graph;
mod init;
pub mod layers;
mod layout;
mod network;
pub mod ops;
pub mod optim;
pub mod params;
pub mod plan;
pub mod units;

pub use device::{Buffer, Device, Launch, Program, Slice};
pub use error::{Error, Result};
pub use graph::{Graph, Mode, NetworkId, Tensor, Wanted};
pub use kernels::matmul::Activation;
pub use kernels::{Clock, Cost};
pub use network::Network;
pub use ops::Loss;
pub use params::Parameters;
pub use plan::{Memory, Plan, Workspace};
