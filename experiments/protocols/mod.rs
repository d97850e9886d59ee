//! Protocols: one readable loop each.

mod checkpoint;
mod diagnosis;
mod metrics;
pub mod phases;
mod progress;
