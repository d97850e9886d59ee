//! Agents: one readable file per algorithm, and what they share.

pub mod dqn;
mod options;
mod q_learner;

pub use options::Options;
pub use q_learner::{Diagnostics, Learner};
