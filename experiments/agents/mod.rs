//! Agents: one readable file per algorithm, and what they share.

mod curvature;
mod diagnostics;
pub mod dqn;
mod methods;
mod metrics;
mod n_step;
mod observations;
mod options;
mod output;
mod place;
mod plasticity;
mod progress;
mod q_learner;
mod state;
mod synchronise;
mod tasks;
pub mod transitions;
mod update;
mod walk;

pub use diagnostics::{Diagnostics, RING_ROWS};
pub use methods::Method;
pub use n_step::End;
pub use observations::Seen;
pub use options::Options;
pub use output::Output;
pub use q_learner::Learner;
pub use synchronise::Target;
