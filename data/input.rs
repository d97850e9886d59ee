//! A file that is read once, from its beginning, in small pieces: its content never lies in memory beside what is made of
//! it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;
use md5::{Digest, Md5};

use crate::checksum::digits;
use crate::error::{FileError, FileProblem};
use crate::kind::kind_of;

/// The first bytes of every gzip stream.
pub(crate) const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes that deflate can make of one: 258 of two bits.
pub(crate) const MOST_UNPACKED: u64 = 1032;

/// Why a part of a file could not be made into values.
pub(crate) enum Failure {
    /// Its bytes could not be read or unpacked.
    Reading(io::Error),
    /// They say what they must not.
    Content(FileError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Reading(error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Failure::Content(error)
    }
}

/// An open file, and how much of it has been read.
pub(crate) struct Input<R> {
    inner: BufReader<R>,
    length: u64,
    position: u64,
}

impl Input<File> {
    /// Opens the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let open = || {
            let file = File::open(path)?;
            Ok(Self::new(file.metadata()?.len(), file))
        };
        open().map_err(|error| FileError::new(path, 0, FileProblem::reading(error)))
    }
}

impl Input<Hashed<File>> {
    /// The same, with a checksum of what is read.
    pub(crate) fn open_hashed(path: &Path) -> Result<Self, FileError> {
        let Input { inner, length, .. } = Input::open(path)?;
        Ok(Self::new(length, Hashed { inner: inner.into_inner(), md5: Md5::new() }))
    }

    /// Reads what is left, and gives the MD5 of the whole file.
    pub(crate) fn md5(mut self) -> io::Result<String> {
        io::copy(&mut self.inner, &mut io::sink())?;
        Ok(digits(&self.inner.into_inner().md5.finalize()))
    }
}

impl<R: Read> Input<R> {
    /// Reads `length` bytes from `reader`.
    pub(crate) fn new(length: u64, reader: R) -> Self {
        Self { inner: BufReader::with_capacity(1 << 16, reader), length, position: 0 }
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that have been taken so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What the rest begins with, where another kind of file was expected.
    pub(crate) fn kind(&mut self) -> io::Result<Option<&'static str>> {
        Ok(kind_of(self.inner.fill_buf()?))
    }

    /// Whether it begins as a gzip stream does; of no use once something was taken.
    pub(crate) fn is_gzip(&mut self) -> io::Result<bool> {
        Ok(self.inner.fill_buf()?.starts_with(&GZIP))
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.position += length as u64;
        self.inner.consume(length);
    }
}

/// A reader that makes a checksum of what passes.
pub(crate) struct Hashed<R> {
    inner: R,
    md5: Md5,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.md5.update(&buffer[..length]);
        Ok(length)
    }
}

/// Unpacks the gzip streams of a file one after the other, as `cat` and parallel packers leave them, and ends before what
/// is none.
pub(crate) struct Gunzip<R> {
    /// Always there, but while one stream follows another.
    decoder: Option<GzDecoder<Input<R>>>,
}

impl<R: Read> Gunzip<R> {
    pub(crate) fn new(input: Input<R>) -> Self {
        Self { decoder: Some(GzDecoder::new(input)) }
    }

    /// Bytes of the file that have been taken so far.
    pub(crate) fn position(&self) -> u64 {
        self.decoder.as_ref().map_or(0, |decoder| decoder.get_ref().position())
    }
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let length = decoder.read(buffer)?;
            if length > 0 || buffer.is_empty() || decoder.get_mut().fill_buf()?.first() != Some(&GZIP[0]) {
                return Ok(length);
            }
            self.decoder = self.decoder.take().map(|decoder| GzDecoder::new(decoder.into_inner()));
        }
        Ok(0)
    }
}

/// Makes room for `announced` more bytes, but not for more than can come.
pub(crate) fn reserve(bytes: &mut Vec<u8>, announced: u64, can_come: u64) -> Result<(), FileProblem> {
    let room = usize::try_from(announced.min(can_come)).map_err(|_| FileProblem::OutOfMemory)?;
    bytes.try_reserve_exact(room).map_err(|_| FileProblem::OutOfMemory)
}

/// Reads until `buffer` is full or nothing is left; how many bytes there were.
pub(crate) fn fill(reader: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
