//! Where the files of Tiny ImageNet are: a folder or a zip archive, read in the same way.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{FOLDER, ZIP};
use crate::catalogue::entry;
use crate::error::{FileError, FileProblem};
use crate::zip::Zip;

/// No file of the set is longer, its lists included: what is, or is announced to be, is damaged or made to exhaust memory.
const LONGEST: u64 = 4 << 20;

/// Where the set was found.
pub(super) struct Place {
    /// The folder with `train` and `val`, or the archive.
    pub(super) path: PathBuf,
    /// Whether it is an archive.
    pub(super) zip: bool,
    /// The folder that was searched.
    pub(super) home: PathBuf,
}

impl Place {
    /// The folder of the set in the first of `folders` that has one; some programs unpack it into another of its name.
    pub(super) fn folder(folders: &[PathBuf]) -> Option<Self> {
        let places = || {
            folders.iter().flat_map(|home| {
                let named = entry(home, FOLDER);
                [(entry(&named, FOLDER), home), (named, home), (home.clone(), home)]
            })
        };
        let has_set = |(path, _): &(PathBuf, _)| path.join("train").is_dir() && path.join("val").is_dir();
        // An empty or half-made folder of this name is the set all the same, and what it lacks will be said.
        let has_name = |(path, _): &(PathBuf, _)| path.ends_with(FOLDER) && path.is_dir();
        let found = places().find(has_set).or_else(|| places().find(has_name));
        found.map(|(path, home)| Self { path, zip: false, home: home.clone() })
    }

    /// The archive in the first of `folders` that has one.
    pub(super) fn archive(folders: &[PathBuf]) -> Option<Self> {
        let archives = folders.iter().map(|home| (entry(home, ZIP), home));
        let found = archives.into_iter().find(|(path, _)| path.is_file());
        found.map(|(path, home)| Self { path, zip: true, home: home.clone() })
    }
}

/// A file of the set.
#[derive(Clone)]
pub(super) struct Entry {
    /// Its path within the set, with `/` between the parts.
    pub(super) name: String,
    pub(super) length: u64,
    /// Changes when its content does: time of modification in nanoseconds, or checksum.
    pub(super) stamp: u128,
    /// Its place in the archive's directory; 0 in a folder.
    index: usize,
}

/// The set, ready to be read by several threads at once.
pub(super) enum Source {
    Folder(PathBuf),
    Zip {
        archive: Zip,
        /// What stands before `train/` and `val/` in the names of its members, such as `tiny-imagenet-200/` or nothing.
        top: String,
    },
}

impl Source {
    pub(super) fn open(place: &Place) -> Result<Self, FileError> {
        if place.zip {
            let archive = Zip::open(&place.path)?;
            let top = top(&archive).unwrap_or_else(|| format!("{FOLDER}/"));
            return Ok(Source::Zip { archive, top });
        }
        Ok(Source::Folder(place.path.clone()))
    }

    /// The folder or the archive.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Source::Folder(folder) => folder.clone(),
            Source::Zip { archive, .. } => archive.path.clone(),
        }
    }

    /// A file of the set as a path, for messages.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        match self {
            Source::Folder(folder) => folder.join(name),
            Source::Zip { archive, top } => archive.path.join(format!("{top}{name}")),
        }
    }

    /// The files in `val`, in the folders of `train` and `val`, and in their folders `images`, in no particular order.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, FileError> {
        match self {
            Source::Folder(folder) => {
                let mut entries = Vec::new();
                list(folder, "val", &mut entries)?;
                for half in ["train", "val"] {
                    for class in names(&folder.join(half))? {
                        for under in [format!("{half}/{class}"), format!("{half}/{class}/images")] {
                            if folder.join(&under).is_dir() {
                                list(folder, &under, &mut entries)?;
                            }
                        }
                    }
                }
                Ok(entries)
            }
            Source::Zip { archive, top } => {
                let entry = |(index, member): (usize, &crate::zip::Member)| {
                    let name = member.name.strip_prefix(top)?.to_owned();
                    Some(Entry { name, length: member.length, stamp: u128::from(member.crc), index })
                };
                Ok(archive.members.iter().enumerate().filter_map(entry).collect())
            }
        }
    }

    /// The bytes of a file.
    pub(super) fn read(&self, entry: &Entry) -> Result<Vec<u8>, FileError> {
        match self {
            Source::Folder(folder) => {
                let path = folder.join(&entry.name);
                if entry.length > LONGEST {
                    let expected = format!("a file of at most {LONGEST} bytes");
                    return Err(FileError::format(&path, LONGEST, expected, entry.length));
                }
                fs::read(&path).map_err(|error| unreadable(&path, error))
            }
            Source::Zip { archive, .. } => archive.read(&archive.members[entry.index], LONGEST),
        }
    }
}

/// What stands before `train/` in the names of the members: `tiny-imagenet-200/` as published, `./` before it or nothing
/// in archives that other programs made. The shortest counts, so that no folder deeper within is taken for it.
fn top(archive: &Zip) -> Option<String> {
    let names = archive.members.iter().map(|member| member.name.as_str());
    let before = names.flat_map(|name| name.match_indices("train/").map(|(at, _)| &name[..at]));
    let tops = before.filter(|top| (top.is_empty() || top.ends_with('/')) && !top.starts_with("__MACOSX"));
    tops.min_by_key(|top| top.len()).map(str::to_owned)
}

fn unreadable(path: &Path, error: io::Error) -> FileError {
    FileError::new(path, 0, FileProblem::reading(error))
}

/// The names in a folder; those that are not Unicode cannot belong to the set.
fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = fs::read_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            FileError::format(folder, 0, "this folder", "none, as where unpacking was broken off")
        }
        _ => unreadable(folder, error),
    })?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, error))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// Adds the files in `root/under`.
fn list(root: &Path, under: &str, entries: &mut Vec<Entry>) -> Result<(), FileError> {
    for name in names(&root.join(under))? {
        let name = format!("{under}/{name}");
        let path = root.join(&name);
        let metadata = path.metadata().map_err(|error| unreadable(&path, error))?;
        if metadata.is_file() {
            // Where there are no such times, a file of the same length goes for the same.
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let stamp = modified.map_or(0, |time| time.as_nanos());
            entries.push(Entry { name, length: metadata.len(), stamp, index: 0 });
        }
    }
    Ok(())
}
