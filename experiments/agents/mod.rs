//! Agents: one readable file per algorithm, and what they share.

pub mod dqn;
mod metrics;
mod options;
mod progress;
mod q_learner;
mod state;
mod tasks;
pub mod transitions;

pub use options::Options;
pub use q_learner::{Diagnostics, Learner};
