//! The folder of one run: config, metrics, result, checkpoint.
//!
//! `OUT/<experiment>/<run-id>/`. The id comes from the resolved config, so starting the same run again finds its
//! folder: finished runs are skipped, others resume. A lock keeps two processes apart.

use crate::config::Config;
use crate::error::{Error, Result};
use engine::checkpoint::File as Tensors;
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An open, locked run folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: File,
    metrics_bytes: u64,
    _lock: File,
}

impl RunFolder {
    /// Where a config's run lies under `out`.
    pub fn path_of(config: &Config, out: &Path) -> PathBuf {
        out.join(&config.name).join(config.run_id())
    }

    /// The result of a finished run; `None` if there is none.
    ///
    /// # Errors
    /// A result file that cannot be read.
    pub fn result(path: &Path) -> Result<Option<Value>> {
        let path = path.join("result.json");
        match std::fs::read_to_string(&path) {
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { action: "read", path, source }),
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| Error::Checkpoint {
                message: format!("is not a result: {error}; remove it to finish the run again"),
                path,
            }),
        }
    }

    /// Creates or opens the folder and locks it.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be written.
    pub fn open(config: &Config, out: &Path) -> Result<Self> {
        let path = Self::path_of(config, out);
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { action, path, source }
        };
        std::fs::create_dir_all(&path).map_err(failed("create", &path))?;
        let lock_path = path.join(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(failed("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path }),
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io { action: "lock", path: lock_path, source });
            }
        }
        let config_path = path.join("config.toml");
        files::write(&config_path, config.to_toml().as_bytes()).map_err(failed("write", &config_path))?;
        let metrics_path = path.join("metrics.jsonl");
        let metrics = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&metrics_path)
            .map_err(failed("create", &metrics_path))?;
        Ok(Self { path, metrics, metrics_bytes: 0, _lock: lock })
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
        match Tensors::load(&path) {
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
