//! The transitions of a run in a file that only grows, so that saving costs what is new, not what is there.
//!
//! `transitions.bin` lies beside the checkpoint, which remembers how many of its rows count. A row is a transition as the
//! replay stores it (`kernels/replay`), its words little-endian.

use crate::error::{Error, Result};
use crate::hex::hex;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that are collected before they are written.
const PENDING: usize = 1 << 20;

/// The file of a run's transitions.
#[derive(Debug)]
pub struct Transitions {
    path: PathBuf,
    file: File,
    /// Words of a row.
    words: usize,
    /// Rows appended, those that are not written yet included.
    rows: u64,
    pending: Vec<u8>,
    /// Of all rows that were appended.
    hash: Sha256,
}

impl Transitions {
    /// Opens the file in the folder of a run, whose first `rows` rows count and have this digest, where it is known; what
    /// lies behind them is cut off.
    ///
    /// # Errors
    /// The file cannot be opened; it has fewer rows, or others.
    pub fn open(folder: &Path, words: usize, rows: u64, digest: Option<&str>) -> Result<Self> {
        let path = folder.join("transitions.bin");
        let lost = |what: &str| Error::Checkpoint {
            path: path.clone(),
            message: format!(
                "{what}; restore the file, or remove checkpoint.safetensors to start this run from the beginning"
            ),
        };
        if rows > 0 && !path.exists() {
            return Err(lost("is missing, and the checkpoint counts on it: transitions are lost"));
        }
        let failed = |action| {
            let path = path.clone();
            move |source| Error::Io { action, path, source }
        };
        let options = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = options.map_err(failed("open"))?;
        let has = file.metadata().map_err(failed("read"))?.len();
        let bytes = rows.checked_mul(4 * words as u64).filter(|bytes| *bytes <= has);
        let Some(bytes) = bytes else {
            return Err(lost(&format!(
                "has {has} bytes, but the checkpoint was made after {rows} transitions of {} bytes: transitions are lost",
                4 * words
            )));
        };
        let mut hash = Sha256::new();
        std::io::copy(&mut (&file).take(bytes), &mut HashWriter(&mut hash)).map_err(failed("read"))?;
        if digest.is_some_and(|digest| digest != hex(&hash.clone().finalize())) {
            return Err(lost("is damaged: its content is not what was written (its digest differs)"));
        }
        file.set_len(bytes).map_err(failed("cut"))?;
        file.seek(SeekFrom::End(0)).map_err(failed("read"))?;
        Ok(Self { path, file, words, rows, pending: Vec::with_capacity(PENDING + 4 * words), hash })
    }

    /// Rows appended.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends a row.
    ///
    /// # Errors
    /// The file cannot be written.
    ///
    /// # Panics
    /// If it has another number of words.
    pub fn append(&mut self, row: &[u32]) -> Result<()> {
        assert_eq!(row.len(), self.words, "words of a transition");
        for word in row {
            self.pending.extend(word.to_le_bytes());
        }
        self.rows += 1;
        if self.pending.len() >= PENDING { self.write() } else { Ok(()) }
    }

    /// Makes all rows durable.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&mut self) -> Result<()> {
        self.write()?;
        self.file.sync_data().map_err(|source| self.failed("write", source))
    }

    /// SHA-256 of all rows that were written.
    pub fn digest(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    fn write(&mut self) -> Result<()> {
        self.hash.update(&self.pending);
        self.file.write_all(&self.pending).map_err(|source| self.failed("write", source))?;
        self.pending.clear();
        Ok(())
    }

    /// The words of the last `rows` rows that were written, one after the other.
    ///
    /// # Errors
    /// The file cannot be read.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn last(&mut self, rows: usize) -> Result<Vec<u32>> {
        let bytes = rows * self.words * 4;
        let from =
            (self.rows * self.words as u64 * 4).checked_sub(bytes as u64).expect("rows that are there");
        let mut read = vec![0; bytes];
        self.file
            .seek(SeekFrom::Start(from))
            .and_then(|_| self.file.read_exact(&mut read))
            .and_then(|()| self.file.seek(SeekFrom::End(0)))
            .map_err(|source| self.failed("read", source))?;
        Ok(read.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect())
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source }
    }
}

/// Writes into a hash.
struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Removes the transitions of a finished run that keeps no checkpoint.
///
/// # Errors
/// The file cannot be removed.
pub fn remove(folder: &Path) -> Result<()> {
    let path = folder.join("transitions.bin");
    std::fs::remove_file(&path).map_err(|source| Error::Io { action: "remove", path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_what_was_not_saved_is_cut_off() {
        let place = tempfile::tempdir().unwrap();
        let mut log = Transitions::open(place.path(), 3, 0, None).unwrap();
        for row in 0..400_000u32 {
            log.append(&[row, row + 1, 7]).unwrap();
        }
        log.save().unwrap();
        assert_eq!(log.last(2).unwrap(), [399_998, 399_999, 7, 399_999, 400_000, 7]);
        log.append(&[1, 2, 3]).unwrap();
        log.save().unwrap();
        let mut log = Transitions::open(place.path(), 3, 5, None).unwrap();
        assert_eq!((log.rows(), log.last(1).unwrap()), (5, vec![4, 5, 7]));
        log.append(&[9, 9, 9]).unwrap();
        log.save().unwrap();
        assert_eq!(log.last(2).unwrap(), [4, 5, 7, 9, 9, 9]);
        assert_eq!(std::fs::metadata(place.path().join("transitions.bin")).unwrap().len(), 6 * 12);
        let digest = log.digest();
        drop(log);
        let log = Transitions::open(place.path(), 3, 6, Some(&digest)).unwrap();
        assert_eq!(log.digest(), digest);
        let path = place.path().join("transitions.bin");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[30] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let damaged = Transitions::open(place.path(), 3, 6, Some(&digest)).unwrap_err().to_string();
        assert!(damaged.contains("is damaged"), "{damaged}");
        let refused = Transitions::open(place.path(), 3, 7, None).unwrap_err().to_string();
        assert!(refused.contains("has 72 bytes") && refused.contains("after 7 transitions"), "{refused}");
    }
}
