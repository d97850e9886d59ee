//! The files of one run: config, metrics, checkpoint, result.
//!
//! [`crate::lifecycle`] decides what is done with them. A lock keeps two processes apart.

use crate::config::RunConfig;
use crate::error::{Error, Result};
use engine::checkpoint::File as Tensors;
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An open, locked run folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: File,
    metrics_bytes: u64,
    _lock: File,
}

/// What a JSON file of a run says, if it is there; `remedy` tells what to do about one that cannot be read.
pub(crate) fn read_json(path: &Path, remedy: &str) -> Result<Option<Map<String, Value>>> {
    match files::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { action: "read", path: path.into(), source }),
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(Some(object)),
            Ok(_) => {
                Err(Error::Checkpoint { path: path.into(), message: format!("is no JSON object; {remedy}") })
            }
            Err(error) => Err(Error::Checkpoint {
                path: path.into(),
                message: format!("is not whole: {error}; {remedy}"),
            }),
        },
    }
}

/// Whether the file system of a folder knows no locks, as some that are shared by many machines.
fn has_no_locks(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    let told = [libc::ENOSYS, libc::ENOLCK, libc::EOPNOTSUPP].contains(&error.raw_os_error().unwrap_or(0));
    #[cfg(not(unix))]
    let told = false;
    told || error.kind() == ErrorKind::Unsupported
}

/// Locks a file that nobody holds. A program that this process is just starting holds its files for a moment: so this is
/// tried for a fifth of a second.
fn try_lock(file: &File) -> std::result::Result<(), TryLockError> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < Duration::from_millis(200) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

impl RunFolder {
    /// Creates the folder where it is not there yet, and locks it. On a file system without locks it goes on, and says so.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be written.
    pub(crate) fn lock(path: &Path, note: &mut dyn FnMut(&str)) -> Result<Self> {
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { action, path, source }
        };
        std::fs::create_dir_all(path).map_err(failed("create", path))?;
        let lock_path = path.join(".lock");
        let create = |path: &Path| OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let lock = create(&lock_path).map_err(failed("create", &lock_path))?;
        let age_of_remains = match try_lock(&lock) {
            Ok(()) => Duration::ZERO,
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path: path.into() }),
            Err(TryLockError::Error(error)) if has_no_locks(&error) => {
                note(&format!(
                    "{} cannot be locked ({error}): take care that no other process works on this run",
                    path.display()
                ));
                files::ABANDONED
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io { action: "lock", path: lock_path, source });
            }
        };
        files::remove_partial(path, age_of_remains).map_err(failed("clean", path))?;
        let metrics_path = path.join("metrics.jsonl");
        let metrics = create(&metrics_path).map_err(failed("create", &metrics_path))?;
        Ok(Self { path: path.into(), metrics, metrics_bytes: 0, _lock: lock })
    }

    /// Stores the config, unless it lies there already.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_config(&self, config: &dyn RunConfig) -> Result<()> {
        let text = config.to_toml();
        let path = self.path.join("config.toml");
        if files::read(&path).is_ok_and(|stored| stored == text.as_bytes()) {
            return Ok(());
        }
        files::write(&path, text.as_bytes()).map_err(|source| Error::Io { action: "write", path, source })
    }

    /// Writes `failed.json`: the run failed, and would fail again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn fail(&self, message: &str) -> Result<()> {
        let text =
            serde_json::to_string_pretty(&serde_json::json!({ "error": message })).expect("a map is JSON");
        let path = self.path.join("failed.json");
        files::write(&path, (text + "\n").as_bytes()).map_err(|source| Error::Io {
            action: "write",
            path,
            source,
        })
    }

    /// Forgets that the run failed.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub(crate) fn forget_failure(&self) -> Result<()> {
        let path = self.path.join("failed.json");
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(Error::Io { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a checkpoint.
    pub fn has_checkpoint(&self) -> bool {
        self.path.join("checkpoint.safetensors").exists()
    }

    /// The checkpoint, if there is one.
    ///
    /// # Errors
    /// It cannot be read, is cut short or corrupt.
    pub fn checkpoint(&self) -> Result<Option<Tensors>> {
        let path = self.path.join("checkpoint.safetensors");
        if !self.has_checkpoint() {
            return Ok(None);
        }
        let bytes = match files::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(Error::Io { action: "read", path, source }),
        };
        match Tensors::from_bytes(&bytes) {
            Ok(file) => Ok(Some(file)),
            Err(error) => Err(Error::Checkpoint {
                message: format!(
                    "{error}; restore it from a copy, or remove it to start this run from the beginning"
                ),
                path,
            }),
        }
    }

    /// Writes the checkpoint; the metrics written so far are made durable first.
    ///
    /// # Errors
    /// The files cannot be written; the old checkpoint is untouched.
    pub fn save_checkpoint(&mut self, tensors: &Tensors) -> Result<()> {
        self.metrics.sync_data().map_err(|source| Error::Io {
            action: "write",
            path: self.path.join("metrics.jsonl"),
            source,
        })?;
        Ok(tensors.save(&self.path.join("checkpoint.safetensors"))?)
    }

    /// Removes the checkpoint: of a finished run that does not keep it.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove_checkpoint(&self) -> Result<()> {
        let path = self.path.join("checkpoint.safetensors");
        std::fs::remove_file(&path).map_err(|source| Error::Io { action: "remove", path, source })
    }

    /// Bytes of metrics written so far: what a checkpoint remembers.
    pub fn metrics_bytes(&self) -> u64 {
        self.metrics_bytes
    }

    /// Cuts the metrics back to where a checkpoint was made.
    ///
    /// # Errors
    /// The file is shorter than that, or cannot be cut.
    pub fn rewind_metrics(&mut self, bytes: u64) -> Result<()> {
        let path = self.path.join("metrics.jsonl");
        let has = self.metrics.metadata().map(|metadata| metadata.len()).unwrap_or(0);
        if has < bytes {
            let message = format!(
                "has {has} bytes, but the checkpoint was made at {bytes}: lines are lost; restore the file, or remove \
                 checkpoint.safetensors to start this run from the beginning"
            );
            return Err(Error::Checkpoint { path, message });
        }
        let cut = self.metrics.set_len(bytes).and_then(|()| self.metrics.seek(SeekFrom::Start(bytes)));
        cut.map_err(|source| Error::Io { action: "cut", path, source })?;
        self.metrics_bytes = bytes;
        Ok(())
    }

    /// Appends one line of metrics.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn log(&mut self, line: &Map<String, Value>) -> Result<()> {
        let mut text = serde_json::to_string(line).expect("a map of numbers is JSON");
        text.push('\n');
        self.metrics.write_all(text.as_bytes()).map_err(|source| Error::Io {
            action: "write",
            path: self.path.join("metrics.jsonl"),
            source,
        })?;
        self.metrics_bytes += text.len() as u64;
        Ok(())
    }

    /// Writes `result.json`: the run is finished.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&self, result: &Map<String, Value>) -> Result<()> {
        let text = serde_json::to_string_pretty(result).expect("a map is JSON") + "\n";
        let path = self.path.join("result.json");
        files::write(&path, text.as_bytes()).map_err(|source| Error::Io { action: "write", path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_for_a_moment_is_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        let held = RunFolder::lock(&path, &mut |_| {}).unwrap();
        assert!(matches!(RunFolder::lock(&path, &mut |_| {}), Err(Error::InUse { .. })));
        let other = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(held);
        });
        RunFolder::lock(&path, &mut |_| {}).unwrap();
        other.join().unwrap();
    }
}
