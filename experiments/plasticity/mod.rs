//! How well a network still learns: probe tasks (Lyle and others 2023), for any network and any inputs.
//!
//! [`task`] says what the task is like and [`probe`] carries it out; [`functions`] are what is to be learnt, [`member`] is a
//! network that learns them, [`predictor`] applies a network to many inputs, and [`look`] says of a network what the paper
//! correlates with its plasticity. Guide: `docs/plasticity.md`.

mod functions;
mod look;
mod member;
mod predictor;
mod probe;
mod task;

pub use look::{Look, Seen};
pub use probe::Probe;
pub use task::{FunctionResult, Options, Predictions, ProbeResult};
