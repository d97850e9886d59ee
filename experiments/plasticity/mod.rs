//! How well a network still learns: probe tasks (Lyle and others 2023), for any network and any inputs.
//!
//! `task.rs` says what the task is like and `probe.rs` carries it out; `functions.rs` has what is to be learnt,
//! `member.rs` a network that learns it, `predictor.rs` applies a network to many inputs, and `look.rs` says of a network
//! what the paper correlates with its plasticity. Guide: `docs/plasticity.md`.

mod functions;
mod look;
mod member;
mod predictor;
mod probe;
mod task;

pub use look::{Look, Seen};
pub use probe::Probe;
pub use task::{FunctionResult, Options, Predictions, ProbeResult};
