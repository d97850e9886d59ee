//! Agents: one readable file per algorithm.

pub mod dqn;
