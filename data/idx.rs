//! Reader of IDX files, the format of MNIST and Fashion-MNIST.
//!
//! A file is a big-endian header and then bytes: the magic number `0x00000803` (unsigned bytes in three dimensions:
//! images) or `0x00000801` (one dimension: labels), the length of each dimension as a 32-bit word, the data. It may be
//! packed with gzip; which it is shows in its first two bytes, not in its name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::Images;
use crate::error::{FileError, FileProblem, Position};
use crate::input::{Gunzip, Input, MOST_UNPACKED, reserve};
use crate::kind::kind_of;

/// Magic number of an image file.
pub const IMAGES: u32 = 0x0000_0803;
/// Magic number of a label file.
pub const LABELS: u32 = 0x0000_0801;
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
    let mut input = Input::open(path)?;
    let at = Position { byte: 0, unpacked: false };
    let is_gzip = input.is_gzip().map_err(|error| FileError::new(path, 0, FileProblem::reading(error)))?;
    let result = match input.length() {
        0 => Err((at, FileProblem::Empty)),
        length => parse(&mut Source::new(length, input, is_gzip)),
    };
    result.map_err(|(at, problem)| FileError { at, ..FileError::new(path, 0, problem) })
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
struct Source {
    reader: Reader,
    file_length: u64,
    /// Unpacked bytes read so far.
    position: u64,
    /// Unpacked bytes there should be in all, as far as is known.
    expected: u64,
}

enum Reader {
    Plain(Input<File>),
    Gzip(Gunzip<File>),
}

impl Source {
    fn new(file_length: u64, input: Input<File>, is_gzip: bool) -> Self {
        let reader = if is_gzip { Reader::Gzip(Gunzip::new(input)) } else { Reader::Plain(input) };
        Self { reader, file_length, position: 0, expected: 0 }
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
            Reader::Plain(input) => input.position(),
            Reader::Gzip(gunzip) => gunzip.position(),
        };
        Position { byte, unpacked: false }
    }

    /// Appends up to `length` bytes to `bytes`; fewer only where the data end properly. How many there were.
    fn take(&mut self, length: u64, bytes: &mut Vec<u8>) -> Result<u64, Problem> {
        let before = bytes.len();
        let result = match &mut self.reader {
            Reader::Plain(input) => input.take(length).read_to_end(bytes),
            Reader::Gzip(gunzip) => gunzip.take(length).read_to_end(bytes),
        };
        let taken = (bytes.len() - before) as u64;
        self.position += taken;
        let unpacked = self.position;
        match (result, &self.reader) {
            (Ok(_), _) => Ok(taken),
            (Err(error), Reader::Plain(_)) => Err((self.at(), FileProblem::reading(error))),
            (Err(error), _) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let at = Position { byte: self.file_length, unpacked: false };
                Err((at, FileProblem::GzipTruncated { unpacked, expected: self.expected }))
            }
            (Err(error), _) => {
                Err((self.at_in_file(), FileProblem::Gzip { unpacked, detail: error.to_string() }))
            }
        }
    }

    /// Appends exactly `length` bytes.
    fn exactly(&mut self, length: u64, bytes: &mut Vec<u8>) -> Result<(), Problem> {
        if self.take(length, bytes)? < length {
            return Err((self.at(), FileProblem::Truncated { expected: self.expected }));
        }
        Ok(())
    }

    /// A big-endian word of the header and its place.
    fn word(&mut self) -> Result<(Position, u32), Problem> {
        let at = self.at();
        let mut bytes = Vec::with_capacity(4);
        self.exactly(4, &mut bytes)?;
        Ok((at, bytes.iter().fold(0, |word, &byte| (word << 8) | u32::from(byte))))
    }

    fn magic(&mut self, expected: u32) -> Result<(), Problem> {
        let (at, found) = self.word()?;
        if found == expected {
            return Ok(());
        }
        Err((
            at,
            match kind_of(&found.to_be_bytes()) {
                Some(kind) => {
                    FileProblem::Format { expected: "an IDX file".to_owned(), found: kind.to_owned() }
                }
                None => FileProblem::Magic { expected, found },
            },
        ))
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
        let can_come = self.file_length.saturating_mul(if self.is_packed() { MOST_UNPACKED } else { 1 });
        let mut bytes = Vec::new();
        reserve(&mut bytes, length, can_come).map_err(|problem| (self.at(), problem))?;
        self.exactly(length, &mut bytes)?;
        let end = self.at();
        // Reading on also makes the decoder compare its checksum.
        let mut tail = Vec::new();
        if self.take(1, &mut tail)? > 0 {
            // Damage can make a gzip stream longer; then its checksum or its structure is what is wrong.
            while self.position < end.byte + LONGEST_TAIL && self.take(1 << 16, &mut tail)? > 0 {
                tail.clear();
            }
            return Err((end, FileProblem::Trailing));
        }
        let end = self.at_in_file();
        if end.byte < self.file_length { Err((end, FileProblem::Trailing)) } else { Ok(bytes) }
    }
}

#[cfg(test)]
mod tests;
