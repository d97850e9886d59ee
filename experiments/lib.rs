//! The experiments on loss of plasticity, on top of the engine: configs, protocols, interventions, run folders.
//!
//! Architecture invariants:
//! - Only this crate reads configs, prints, draws progress or chooses a protocol.
//! - A protocol is one readable loop; an intervention is a small struct whose effect is visible where the loop calls it.
//! - A run is a function of its resolved config: the same config gives the same bytes on the same device, interrupted or
//!   not. Nothing in a checkpoint or in the metrics depends on the clock on the wall.

pub mod agents;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod curvature;
pub mod data_set;
mod error;
mod hex;
pub mod images;
pub mod indicators;
pub mod interventions;
pub mod lifecycle;
mod old_runs;
pub mod optimizer;
pub mod plasticity;
pub mod presets;
pub mod protocols;
pub mod provenance;
pub mod run;
pub mod run_folder;
pub mod schedule;
pub mod sweep;
pub mod trainer;
pub mod training_step;

pub use config::Config;
pub use error::{Error, Result};
