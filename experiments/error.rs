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
    /// A run that was begun or finished on other images than those that are there now.
    #[error(
        "{path} was {done} on data {before}, but there are now {now}; bring back the earlier ones, or choose another --out",
        path = path.display()
    )]
    OtherData {
        /// The run folder.
        path: PathBuf,
        /// `begun` or `finished`.
        done: String,
        /// Digest and origin of the data that it was trained on.
        before: String,
        /// Digest and origin of those that are there.
        now: String,
    },
    /// An evaluation that is no number.
    #[error(
        "{what} is not finite at step {step} (phase {phase}, epoch {epoch}); {kept}; a smaller optimizer.lr may help"
    )]
    NonFiniteEvaluation {
        /// What was measured.
        what: String,
        /// Steps taken before it.
        step: u64,
        /// Phase, from 0.
        phase: usize,
        /// Epochs of the run before it.
        epoch: usize,
        /// Which checkpoint there is.
        kept: String,
    },
    /// A number that is none, where no phase or epoch is to be named.
    #[error("{0}")]
    NoNumber(String),
    /// A fault of this program.
    #[error("a fault of this program ended the run: {message}; please report it with the run's config.toml")]
    Panic {
        /// What the panic said.
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

impl Error {
    /// Whether the run would fail again, everywhere: the fault lies in its config or in this program, not in a file, a
    /// device or another process.
    pub fn is_of_the_run(&self) -> bool {
        matches!(
            self,
            Self::NonFinite { .. }
                | Self::NonFiniteEvaluation { .. }
                | Self::NoNumber(_)
                | Self::Panic { .. }
                | Self::Mismatch(_)
        )
    }

    /// Whether the device is lost: nothing more can run on it.
    pub fn is_lost_device(&self) -> bool {
        matches!(self, Self::Engine(engine::Error::DeviceLost { .. }))
    }

    /// The message with all its causes, those left out that it names already.
    pub fn with_causes(&self) -> String {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        message
    }
}

/// Result with an experiment's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
