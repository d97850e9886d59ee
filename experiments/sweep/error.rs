//! What can be wrong with a sweep.

use std::path::PathBuf;

/// What is wrong with a sweep: the file, the cell or key, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A sweep that does not exist.
    #[error("there is no sweep or file '{name}'{hint}; `ht sweep --list` lists them all")]
    Unknown {
        /// The name given.
        name: String,
        /// The nearest sweep.
        hint: String,
    },
    /// A key or value of the file that cannot be.
    #[error("{sweep}: {problem}")]
    File {
        /// The sweep.
        sweep: String,
        /// The key, what is wrong with it, and what would be right.
        problem: String,
    },
    /// A cell whose config is refused.
    #[error("{sweep}: the cell '{cell}' is refused: {reason}")]
    Cell {
        /// The sweep.
        sweep: String,
        /// The cell.
        cell: String,
        /// What is wrong with its config.
        reason: String,
    },
    /// Two cells with the same config.
    #[error("{sweep}: '{first}' and '{second}' are the same run; every cell needs another value of some key")]
    SameRun {
        /// The sweep.
        sweep: String,
        /// A cell and its seed.
        first: String,
        /// Another cell and its seed.
        second: String,
    },
    /// A share that does not exist.
    #[error("--shard {text}: I/N is expected, share I of N, from 1/N to N/N")]
    Shard {
        /// What was given.
        text: String,
    },
    /// The data, the device, or a file.
    #[error(transparent)]
    Run(#[from] crate::Error),
    /// The folder has runs of a sweep of this name with other configs.
    #[error(
        "{path} has runs of another sweep: {cell} had {key} = {before}, now it has {now}; choose another --out, or \
         remove that folder",
        path = path.display()
    )]
    Differs {
        /// The record of the earlier sweep.
        path: PathBuf,
        /// The cell, or `every cell`.
        cell: String,
        /// The key.
        key: String,
        /// Its value in the record.
        before: String,
        /// Its value now.
        now: String,
    },
}
