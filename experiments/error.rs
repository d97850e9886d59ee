//! What can go wrong in a run.

use std::path::PathBuf;

/// An error of an experiment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The config.
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    /// The engine or the device.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The data set.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// Data and model, or data and protocol, do not fit together.
    #[error("{0}")]
    Mismatch(String),
    /// A file of the run folder that cannot be read or written.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another process works on the run.
    #[error("{path} is in use by another process; wait for it or choose another --out", path = path.display())]
    InUse {
        /// The run folder.
        path: PathBuf,
    },
    /// A checkpoint that belongs to something else, or is damaged.
    #[error("{path}: {message}", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// A loss that is no number.
    #[error(
        "the loss is not finite at step {step} (phase {phase}, epoch {epoch}); first not finite: {first}; \
         {kept}; a smaller optimizer.lr may help"
    )]
    NonFinite {
        /// Steps taken before the bad one.
        step: u64,
        /// Phase, from 0.
        phase: usize,
        /// Epoch of the run, from 1.
        epoch: usize,
        /// The tensor that was not finite first.
        first: String,
        /// Which checkpoint there is.
        kept: String,
    },
}

/// Result with an experiment's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
