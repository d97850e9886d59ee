//! Whether the files of a data set are complete and undamaged.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use crate::catalogue::{Content, Name, PublishedFile};
use crate::error::{FileError, FileProblem, Position};
use crate::{Error, idx};

/// What [`check()`] found.
#[derive(Debug)]
pub struct Report {
    /// The data set.
    pub name: Name,
    /// The folders that were searched.
    pub looked_in: Vec<PathBuf>,
    /// Each of its files; none for the built-in set.
    pub files: Vec<FileReport>,
}

/// What [`check()`] found out about one file.
#[derive(Debug)]
pub struct FileReport {
    /// Its published name.
    pub file: &'static str,
    /// Where it lies, if it is there.
    pub path: Option<PathBuf>,
    /// How it is.
    pub status: Status,
}

/// The state of a file.
#[derive(Debug)]
pub enum Status {
    /// Byte for byte the published file.
    Ok,
    /// Unpacked and well-formed, with the published number of examples. There is no published checksum to compare.
    Unpacked,
    /// Not there.
    Missing,
    /// A well-formed file, but not the published one.
    WrongChecksum {
        /// The published md5.
        expected: &'static str,
        /// That of the file.
        found: String,
    },
    /// Not usable; the error says what is wrong at which byte.
    Damaged(FileError),
}

impl Report {
    /// Whether every file can be used as it is.
    pub fn is_ok(&self) -> bool {
        self.files.iter().all(|file| matches!(file.status, Status::Ok | Status::Unpacked))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Ok => f.write_str("ok"),
            Status::Unpacked => f.write_str("ok (unpacked: structure checked, no checksum to compare)"),
            Status::Missing => f.write_str("missing"),
            Status::WrongChecksum { expected, found } => {
                write!(f, "wrong checksum: expected md5 {expected}, found {found}")
            }
            Status::Damaged(error) => write!(f, "damaged {}: {}", error.at, error.problem),
        }
    }
}

/// Looks at each file of the data set called `name` in `dir/name` and `dir`. A file that is missing or damaged is part of
/// the report, not an error.
///
/// # Errors
/// [`Error::UnknownName`].
pub fn check(name: &str, dir: &Path) -> Result<Report, Error> {
    let name: Name = name.parse()?;
    let folders = name.folders(dir);
    let files = name
        .files()
        .iter()
        .map(|file| {
            let path = file.find(&folders);
            let status = path.as_deref().map_or(Status::Missing, |path| examine(name, file, path));
            FileReport { file: file.name, path, status }
        })
        .collect();
    Ok(Report { name, looked_in: folders.to_vec(), files })
}

fn examine(name: Name, file: &PublishedFile, path: &Path) -> Status {
    let damaged = |at, problem| {
        let advice = name.advice();
        Status::Damaged(FileError { path: path.to_path_buf(), at, problem, advice })
    };
    let start = Position { byte: 0, unpacked: false };
    let found = match md5_of(path) {
        Ok(md5) if md5 == file.md5 => return Status::Ok,
        Ok(md5) => md5,
        Err(error) => return damaged(start, FileProblem::Unreadable(error)),
    };
    let (what, examples) = match file.content {
        Content::Images => ("images", idx::read_images(path, Some((28, 28))).map(|images| images.count)),
        Content::Labels => ("labels", idx::read_labels(path, 10).map(|labels| labels.len())),
    };
    match examples {
        Err(error) => Status::Damaged(error.advise(name)),
        Ok(_) if path.ends_with(file.name) => Status::WrongChecksum { expected: file.md5, found },
        Ok(examples) if examples == file.examples => Status::Unpacked,
        Ok(examples) => damaged(
            Position { byte: 4, unpacked: false },
            // The count came from a 32-bit word.
            FileProblem::Dimension { what, expected: file.examples.to_string(), found: examples as u32 },
        ),
    }
}

/// The md5 of a file as lower-case hexadecimal digits.
pub(crate) fn md5_of(path: &Path) -> io::Result<String> {
    md5_of_file(&mut File::open(path)?)
}

/// The md5 of the rest of an open file.
pub(crate) fn md5_of_file(file: &mut File) -> io::Result<String> {
    let mut hash = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
