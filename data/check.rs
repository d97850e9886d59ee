//! Whether the files of a data set are complete and undamaged.

use std::path::{Path, PathBuf};

use crate::catalogue::Name;
use crate::{Error, cifar, mnist, svhn, tiny_imagenet};

pub use crate::examine::{FileReport, Status};

/// What [`check()`] found.
#[derive(Debug)]
pub struct Report {
    /// The data set.
    pub name: Name,
    /// The folders that were searched.
    pub looked_in: Vec<PathBuf>,
    /// Each of its files; none for a built-in set.
    pub files: Vec<FileReport>,
    /// Where one is missing: files that may hold the set in a form that is not read, and folders that have files of these
    /// names.
    pub not_read: Vec<PathBuf>,
}

impl Report {
    /// Whether every file can be used as it is, the published one or not.
    pub fn is_ok(&self) -> bool {
        self.files.iter().all(|file| !matches!(file.status, Status::Missing | Status::Damaged(_)))
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
    let files = match name {
        Name::Mnist | Name::FashionMnist => mnist::check(name, &folders),
        Name::Cifar10 | Name::Cifar100 => cifar::check(name, &folders),
        Name::Svhn => svhn::check(&folders),
        Name::TinyImagenet => tiny_imagenet::check(&folders),
        Name::Strokes | Name::Scenes => Vec::new(),
    };
    let is_missing = files.iter().any(|file| matches!(file.status, Status::Missing));
    let mut not_read = Vec::new();
    if is_missing {
        not_read = Name::not_read(&folders);
        if let Name::Cifar10 | Name::Cifar100 = name {
            not_read.extend(cifar::elsewhere(name, &folders));
        }
    }
    Ok(Report { not_read, name, looked_in: folders.to_vec(), files })
}
