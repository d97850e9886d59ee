//! Environments for agents, and what the best agent can reach in them.
//!
//! Architecture invariants of this crate:
//!
//! - It knows no engine, no tensor, no data set and no experiment. A classification MDP is given labels and yields
//!   indices of images; where the images lie is its caller's affair.
//! - An end is a termination or a truncation, and the two are never mixed up ([`Step`]).
//! - Every random choice is a function of a seed, a purpose and a count ([`Random`]). A saved environment goes on with
//!   the same bits in any process.
//! - It prints nothing, reads no clock and touches no file.
//!
//! ```
//! use environments::{Chain, ChainOptions, Environment, Observation};
//!
//! let mut chain = Chain::new(ChainOptions { states: 3, ..ChainOptions::default() }, 1)?;
//! assert_eq!(chain.observation(), Observation::Numbers(&[1.0, 0.0, 0.0]));
//! chain.step(Chain::RIGHT)?;
//! let saved = chain.save();
//! chain.step(Chain::RIGHT)?;
//! let last = chain.step(Chain::RIGHT)?;
//! assert!(last.reward == 1.0 && last.terminated && !last.truncated);
//! chain.restore(&saved)?;
//! assert_eq!(chain.observation(), Observation::Numbers(&[0.0, 1.0, 0.0]));
//! # Ok::<(), environments::Error>(())
//! ```

mod catch;
mod chain;
mod classification;
mod environment;
mod error;
mod exploration;
mod finite;
mod observation;
mod random;
mod state;

pub use catch::Catch;
pub use chain::{Chain, ChainOptions};
pub use classification::{AfterLast, ClassificationMdp, ClassificationOptions, Task};
pub use environment::{Environment, Step};
pub use error::Error;
pub use exploration::Exploration;
pub use finite::{Finite, FiniteMdp, Next, Optimum, Outcome};
pub use observation::{Observation, ObservationKind};
pub use random::{Purpose, Random};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
