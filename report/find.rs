//! Finds run folders; what cannot be read hides nothing else.

use super::NotRead;
use super::read::{self, Run, Unread};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// All that lies at and below some paths.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) runs: Vec<Run>,
    pub(crate) not_read: Vec<NotRead>,
    /// Folders whose `config.toml` is not that of a run, and why.
    pub(crate) foreign: Vec<(PathBuf, String)>,
    /// The real paths of all folders that were looked at.
    seen: BTreeSet<PathBuf>,
    /// The real path of the folder that is searched now.
    root: PathBuf,
}

/// Reads every run at or below `paths`, each once, in the order of the paths and by name below them.
pub(crate) fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    let mut empty = Vec::new();
    for path in paths {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                found.root = path.canonicalize().unwrap_or_default();
                if !found.visit(path, true) {
                    empty.push(path);
                }
            }
            Ok(_) => _ = found.fail(path, true, "not a folder: give a run folder or any folder above it"),
            Err(error) => _ = found.fail(path, true, error),
        }
    }
    if found.runs.is_empty() {
        return found; // The error says so.
    }
    for path in empty {
        found.fail(path, false, "no runs at or below this folder");
    }
    found
}

impl Found {
    /// Something that is there but cannot be read: always true.
    fn fail(&mut self, path: &Path, named: bool, reason: impl ToString) -> bool {
        self.not_read.push(NotRead { path: path.to_path_buf(), reason: reason.to_string(), named });
        true
    }

    fn leads_up(&self, path: &Path) -> bool {
        path.is_symlink()
            && path.canonicalize().is_ok_and(|real| real != self.root && self.root.starts_with(real))
    }

    /// Links to folders are followed, so real paths are remembered: no loop is walked and no run read twice. Returns
    /// whether there was a run, one that could not be read, or one that was met before.
    fn visit(&mut self, folder: &Path, named: bool) -> bool {
        match folder.canonicalize() {
            Ok(real) if self.seen.contains(&real) => return true,
            Ok(real) => _ = self.seen.insert(real),
            Err(error) => return self.fail(folder, named, error),
        }
        let mut any = false;
        let config = folder.join("config.toml");
        match std::fs::metadata(&config) {
            Ok(metadata) if metadata.is_file() => match Run::read(folder) {
                Ok(run) => {
                    self.runs.push(run);
                    return true;
                }
                Err(Unread::Foreign(reason)) => self.foreign.push((folder.to_path_buf(), reason)),
                Err(Unread::Broken { path, reason }) => any |= self.fail(&path, named, reason),
            },
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return self.fail(folder, named, error);
            }
            Ok(metadata) if !metadata.is_dir() => any |= self.fail(&config, named, "not a regular file"),
            // No such file, or a folder of this name.
            _ if read::RESULTS.iter().any(|file| folder.join(file).is_file()) => {
                any |= self.fail(&config, named, "is not there, but other files of a run are");
            }
            _ => {}
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.fail(folder, named, error),
        };
        let mut below = Vec::new();
        for entry in entries {
            match entry {
                // Hidden folders hold the files of other tools, some of them named config.toml.
                Ok(entry) if entry.file_name().to_string_lossy().starts_with('.') => {}
                Ok(entry) => below.push(entry.path()),
                Err(error) => any |= self.fail(folder, named, error),
            }
        }
        below.sort();
        for path in below {
            match std::fs::metadata(&path) {
                // A link to a folder above, such as to the root of the system, would search what nobody named.
                Ok(metadata) if metadata.is_dir() && self.leads_up(&path) => {
                    any |= self.fail(&path, false, "a link to a folder above, which is not followed");
                }
                Ok(metadata) if metadata.is_dir() => any |= self.visit(&path, false),
                Ok(_) => {}
                // A link that leads nowhere, or in a circle.
                Err(error) if path.is_symlink() && error.kind() != ErrorKind::PermissionDenied => {}
                Err(error) => any |= self.fail(&path, false, error),
            }
        }
        any
    }
}
