//! How well a network still learns: probe tasks (Lyle and others 2023), for any network and any inputs.
//!
//! [`probe`] is the task, [`functions`] are what is to be learnt, [`member`] is a network that learns them, [`predictor`]
//! applies a network to many inputs, and [`look`] says of a network what the paper correlates with its plasticity. Guide: `docs/plasticity.md`.

mod functions;
mod look;
mod member;
mod predictor;
mod probe;

pub use look::{Look, Seen};
pub use probe::{FunctionResult, Options, Predictions, Probe, ProbeResult};
