//! Reader of IDX files, the format of MNIST and Fashion-MNIST.
//!
//! A file is a big-endian header and then bytes: the magic number `0x00000803` (unsigned bytes in three dimensions:
//! images) or `0x00000801` (one dimension: labels), the length of each dimension as a 32-bit word, the data. It may be
//! packed with gzip; which it is shows in its first two bytes, not in its name.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::Images;
use crate::error::{FileError, FileProblem, Position};

/// Magic number of an image file.
pub const IMAGES: u32 = 0x0000_0803;
/// Magic number of a label file.
pub const LABELS: u32 = 0x0000_0801;
/// The first bytes of every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Rows or columns beyond this are taken for a damaged header.
const LARGEST_SIDE: u32 = 4096;
/// Bytes after the expected end that are still read, to tell damage from a longer file.
const LONGEST_TAIL: u64 = 1 << 26;

/// The images of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdxImages {
    /// Number of images.
    pub count: usize,
    /// Rows of each.
    pub height: usize,
    /// Columns of each.
    pub width: usize,
    /// Grey values, `[count, height, width]`.
    pub pixels: Vec<u8>,
}

/// Reads an image file, packed or not. With `shape`, height and width must be these.
///
/// # Errors
/// [`FileError`] with each [`FileProblem`] but [`FileProblem::Label`] and [`FileProblem::OtherSet`].
pub fn read_images(path: &Path, shape: Option<(usize, usize)>) -> Result<IdxImages, FileError> {
    read(path, |source| parse_images(source, shape))
}

/// Reads a label file, packed or not: labels below `classes`.
///
/// # Errors
/// [`FileError`] with each [`FileProblem`] but [`FileProblem::OtherSet`].
pub fn read_labels(path: &Path, classes: usize) -> Result<Vec<u8>, FileError> {
    read(path, |source| parse_labels(source, classes))
}

/// The bytes of an unpacked image file.
pub fn image_file(images: &Images) -> Vec<u8> {
    let words = [IMAGES, images.len() as u32, images.height as u32, images.width as u32];
    [header(&words).as_slice(), &images.pixels].concat()
}

/// The bytes of an unpacked label file; a label beyond a byte is cut to its lowest 8 bits.
pub fn label_file(images: &Images) -> Vec<u8> {
    let labels = images.labels.iter().map(|&label| label as u8);
    header(&[LABELS, images.len() as u32]).into_iter().chain(labels).collect()
}

/// The words a file begins with, as bytes.
pub(crate) fn header(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

type Problem = (Position, FileProblem);

fn read<T>(path: &Path, parse: impl FnOnce(&mut Source) -> Result<T, Problem>) -> Result<T, FileError> {
    let start = Position { byte: 0, unpacked: false };
    fs::read(path)
        .map_err(|error| (start, FileProblem::reading(error)))
        .and_then(|bytes| match bytes.as_slice() {
            [] => Err((start, FileProblem::Empty)),
            packed if packed.starts_with(&GZIP) => parse(&mut Source::packed(packed)),
            _ => parse(&mut Source::plain(bytes)),
        })
        .map_err(|(at, problem)| FileError { at, ..FileError::new(path, 0, problem) })
}

fn parse_images(source: &mut Source, shape: Option<(usize, usize)>) -> Result<IdxImages, Problem> {
    source.expected = 16;
    source.magic(IMAGES)?;
    let count = source.count("images")?;
    let height = source.side("rows", shape.map(|(height, _)| height))?;
    let width = source.side("columns", shape.map(|(_, width)| width))?;
    // At most 2^32 * 2^12 * 2^12: no overflow.
    let pixels = source.rest(u64::from(count) * u64::from(height) * u64::from(width))?;
    Ok(IdxImages { count: count as usize, height: height as usize, width: width as usize, pixels })
}

fn parse_labels(source: &mut Source, classes: usize) -> Result<Vec<u8>, Problem> {
    source.expected = 8;
    source.magic(LABELS)?;
    let count = source.count("labels")?;
    let labels = source.rest(u64::from(count))?;
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(labels),
        Some(index) => Err((
            Position { byte: 8 + index as u64, unpacked: source.is_packed() },
            FileProblem::Label { classes, found: labels[index].into() },
        )),
    }
}

/// The bytes of a file, unpacked on the way.
struct Source<'a> {
    reader: Reader<'a>,
    file_length: u64,
    /// Unpacked bytes read so far.
    position: u64,
    /// Unpacked bytes there should be in all, as far as is known.
    expected: u64,
}

enum Reader<'a> {
    /// The whole file: its data become the result without a copy.
    Plain(Vec<u8>),
    Gzip(Box<GzDecoder<&'a [u8]>>),
}

impl<'a> Source<'a> {
    fn plain(bytes: Vec<u8>) -> Self {
        let file_length = bytes.len() as u64;
        Self { reader: Reader::Plain(bytes), file_length, position: 0, expected: 0 }
    }

    fn packed(bytes: &'a [u8]) -> Self {
        let reader = Reader::Gzip(Box::new(GzDecoder::new(bytes)));
        Self { reader, file_length: bytes.len() as u64, position: 0, expected: 0 }
    }

    fn is_packed(&self) -> bool {
        matches!(self.reader, Reader::Gzip(_))
    }

    /// Where the next unpacked byte lies.
    fn at(&self) -> Position {
        Position { byte: self.position, unpacked: self.is_packed() }
    }

    /// Where the next byte of the file itself lies.
    fn at_in_file(&self) -> Position {
        let byte = match &self.reader {
            Reader::Plain(_) => self.position,
            Reader::Gzip(decoder) => self.file_length - decoder.get_ref().len() as u64,
        };
        Position { byte, unpacked: false }
    }

    /// Up to `length` bytes; fewer only where the data end properly.
    fn take(&mut self, length: u64) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        // Memory grows with what is there, not with what a damaged header announces.
        let result = match &mut self.reader {
            Reader::Plain(file) => {
                let from = (self.position as usize).min(file.len());
                let to = from + length.min((file.len() - from) as u64) as usize;
                bytes.extend_from_slice(&file[from..to]);
                Ok(to - from)
            }
            Reader::Gzip(reader) => read_members(reader, length, &mut bytes),
        };
        self.position += bytes.len() as u64;
        let unpacked = self.position;
        match result {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let at = Position { byte: self.file_length, unpacked: false };
                Err((at, FileProblem::GzipTruncated { unpacked, expected: self.expected }))
            }
            Err(error) => Err((self.at_in_file(), FileProblem::Gzip { unpacked, detail: error.to_string() })),
        }
    }

    /// Exactly `length` bytes.
    fn exactly(&mut self, length: u64) -> Result<Vec<u8>, Problem> {
        let bytes = self.take(length)?;
        if (bytes.len() as u64) < length {
            return Err((self.at(), FileProblem::Truncated { expected: self.expected }));
        }
        Ok(bytes)
    }

    /// A big-endian word of the header and its place.
    fn word(&mut self) -> Result<(Position, u32), Problem> {
        let at = self.at();
        let bytes = self.exactly(4)?;
        Ok((at, bytes.iter().fold(0, |word, &byte| (word << 8) | u32::from(byte))))
    }

    fn magic(&mut self, expected: u32) -> Result<(), Problem> {
        let (at, found) = self.word()?;
        if found == expected { Ok(()) } else { Err((at, FileProblem::Magic { expected, found })) }
    }

    fn count(&mut self, what: &'static str) -> Result<u32, Problem> {
        let (at, found) = self.word()?;
        if found > 0 {
            return Ok(found);
        }
        Err((at, FileProblem::Dimension { what, expected: "at least 1".to_owned(), found }))
    }

    fn side(&mut self, what: &'static str, wanted: Option<usize>) -> Result<u32, Problem> {
        let (at, found) = self.word()?;
        let expected = match wanted {
            Some(side) if side as u64 == u64::from(found) => return Ok(found),
            Some(side) => side.to_string(),
            None if (1..=LARGEST_SIDE).contains(&found) => return Ok(found),
            None => format!("1 to {LARGEST_SIDE}"),
        };
        Err((at, FileProblem::Dimension { what, expected, found }))
    }

    /// The remaining `length` bytes, after which the file must end.
    fn rest(&mut self, length: u64) -> Result<Vec<u8>, Problem> {
        self.expected = self.position + length;
        if let Reader::Plain(file) = &mut self.reader
            && file.len() as u64 == self.expected
        {
            let mut bytes = std::mem::take(file);
            bytes.drain(..self.position as usize);
            return Ok(bytes);
        }
        let bytes = self.exactly(length)?;
        let end = self.at();
        // Reading on also makes the decoder compare its checksum.
        if !self.take(1)?.is_empty() {
            // Damage can make a gzip stream longer; then its checksum or its structure is what is wrong.
            self.take(LONGEST_TAIL)?;
            return Err((end, FileProblem::Trailing));
        }
        let end = self.at_in_file();
        if end.byte < self.file_length { Err((end, FileProblem::Trailing)) } else { Ok(bytes) }
    }
}

/// Up to `length` unpacked bytes. A file may consist of several gzip streams, as `cat` and parallel packers make them.
fn read_members(reader: &mut GzDecoder<&[u8]>, length: u64, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut read = 0;
    loop {
        read += reader.by_ref().take(length - read as u64).read_to_end(bytes)?;
        let rest: &[u8] = reader.get_ref();
        if read as u64 == length || !rest.starts_with(&GZIP) {
            return Ok(read);
        }
        *reader = GzDecoder::new(rest);
    }
}

#[cfg(test)]
mod tests;
