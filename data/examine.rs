//! One file of a data set: whether it is there, whole, and the published one.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::catalogue::PublishedFile;
use crate::checksum::md5_of;
use crate::error::{FileError, FileProblem};

/// What [`check`](crate::check()) found out about one file.
#[derive(Debug)]
pub struct FileReport {
    /// Its name.
    pub file: String,
    /// Where it lies, if it is there.
    pub path: Option<PathBuf>,
    /// How it is.
    pub status: Status,
}

/// The state of a file.
#[derive(Debug)]
pub enum Status {
    /// The published file, byte for byte or unpacked.
    Ok,
    /// Unpacked and well-formed, with the published number of examples. No checksum is known of all of its content.
    Unpacked,
    /// Undamaged, but only a part of what is published.
    Part {
        /// How much of it, such as `20 of 200 classes`.
        what: String,
    },
    /// Not there.
    Missing,
    /// Not whole, and not needed: something else is read.
    Unused {
        /// What is missing, and what is read.
        why: String,
    },
    /// Undamaged and usable, but not the published file.
    Other {
        /// What tells.
        why: String,
    },
    /// Not usable; the error says what is wrong at which byte.
    Damaged(FileError),
}

impl Status {
    /// The same state with the remedy for a data set.
    pub(crate) fn advise(self, advice: &str) -> Self {
        match self {
            Status::Damaged(error) => Status::Damaged(error.advise(advice)),
            other => other,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Ok => f.write_str("ok"),
            Status::Unpacked => {
                f.write_str("ok (unpacked: checked as far as checksums of its content are known)")
            }
            Status::Part { what } => write!(f, "ok, but a part of the published set: {what}"),
            Status::Missing => f.write_str("missing"),
            Status::Unused { why } => write!(f, "not used: {why}"),
            Status::Other { why } => write!(f, "ok, but not the published file: {why}"),
            Status::Damaged(error) if error.problem.is_placed() => {
                write!(f, "damaged {}: {}; {}", error.at, error.problem, error.advice)
            }
            Status::Damaged(error) => write!(f, "not usable: {}; {}", error.problem, error.advice),
        }
    }
}

/// Why fewer examples than published are other ones.
pub(crate) const OTHER_BEGINNING: &str = ", which do not begin as the published ones do";

/// What a file holds.
pub(crate) struct Content {
    /// Number of examples.
    pub(crate) found: usize,
    /// Number of examples in the published file.
    pub(crate) published: usize,
    /// What they are called.
    pub(crate) what: &'static str,
    /// Whether what is in it is what is published, where that can be told; of fewer examples, `Some(false)` or `None`.
    pub(crate) verified: Option<bool>,
}

/// The state of a file that is there: compared with the published checksum, and read with `read` if it differs.
pub(crate) fn examine(
    file: &PublishedFile,
    path: &Path,
    read: impl FnOnce() -> Result<Content, FileError>,
) -> Status {
    let found = match md5_of(path) {
        Ok(md5) if md5 == file.md5 => return Status::Ok,
        Ok(md5) => md5,
        Err(error) => return Status::Damaged(FileError::new(path, 0, FileProblem::reading(error))),
    };
    match read() {
        Err(error) => Status::Damaged(error),
        Ok(Content { found, published, what, verified }) if found < published => {
            let part = format!("{found} of {published} {what}");
            match verified {
                Some(false) => Status::Other { why: part + OTHER_BEGINNING },
                _ => Status::Part { what: part },
            }
        }
        Ok(Content { found, published, what, .. }) if found > published => {
            Status::Other { why: format!("{found} {what} where {published} are published") }
        }
        Ok(Content { verified: Some(true), .. }) => Status::Ok,
        Ok(Content { verified: Some(false), what, .. }) => {
            Status::Other { why: format!("as many {what}, but other ones") }
        }
        Ok(Content { what, .. }) if path.ends_with(file.name) => Status::Other {
            why: format!(
                "as many {what}, but packed otherwise or other ones (expected md5 {}, found {found})",
                file.md5
            ),
        },
        Ok(_) => Status::Unpacked,
    }
}
