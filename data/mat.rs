//! Reader of MATLAB 5 files (`.mat`), as far as SVHN needs it: little-endian files of numeric arrays, packed with zlib or
//! not.
//!
//! A file is a header of 128 bytes and then elements: kind and length in 32 bits each, data, padding to 8 bytes. An
//! element of kind 15 is another element packed with zlib. An array, kind 14, consists of elements: flags, shape,
//! name, data in column-major order. Elements of up to 4 bytes may have length, kind and data within 8 bytes.
//! (Source: MathWorks, *MAT-File Format*.)

use std::io::{self, BufRead, Read};
use std::path::Path;

use flate2::bufread::ZlibDecoder;

use crate::error::{FileError, FileProblem, Position};
use crate::input::{Input, MOST_UNPACKED, fill, reserve};
use crate::kind::kind_of;

/// Kind of an element of unsigned bytes.
pub(crate) const UINT8: u32 = 2;
const INT32: u32 = 5;
/// Kind of an element of 64-bit floats.
pub(crate) const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const HEADER: usize = 128;

/// A numeric array.
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// How the values are stored, such as [`UINT8`].
    pub(crate) kind: u32,
    /// The values; the first index changes fastest.
    pub(crate) bytes: Vec<u8>,
    /// Where they lie: in the file, or in the unpacked array.
    pub(crate) at: Position,
}

/// The arrays of the file at `path` whose names are `wanted`; what else it has is read over.
pub(crate) fn arrays<R: Read>(
    path: &Path,
    input: &mut Input<R>,
    wanted: &[&str],
) -> Result<Vec<Array>, FileError> {
    let length = input.length();
    let cut = |expected| Err(FileError::new(path, length, FileProblem::Truncated { expected }));
    let unreadable = |at: u64| move |error: io::Error| FileError::new(path, at, FileProblem::reading(error));
    let mut header = [0; HEADER];
    let found = fill(input, &mut header).map_err(unreadable(0))?;
    if found == 0 {
        return Err(FileError::new(path, 0, FileProblem::Empty));
    }
    if header.starts_with(b"MATLAB 7.3") || header.starts_with(b"\x89HDF") {
        return Err(FileError::new(path, 0, FileProblem::Hdf5));
    }
    if let Some(kind) = kind_of(&header[..found]) {
        return Err(FileError::format(path, 0, "a MATLAB 5 file", kind));
    }
    if found < HEADER {
        return cut(HEADER as u64);
    }
    if header[124..128] != [0x00, 0x01, b'I', b'M'] {
        let found = format!("the bytes {:02x?}", &header[124..128]);
        return Err(FileError::format(path, 124, "a little-endian MATLAB 5 file", found));
    }
    let mut arrays = Vec::new();
    while input.position() < length {
        let at = input.position();
        let mut tag = [0; 8];
        if fill(input, &mut tag).map_err(unreadable(at))? < tag.len() {
            return cut(at + 8);
        }
        let (kind, size) = (word(&tag), u64::from(word(&tag[4..])));
        if length.saturating_sub(at + 8) < size {
            return cut(at + 8 + size);
        }
        let data = input.by_ref().take(size);
        let found = match kind {
            COMPRESSED => packed(data, size, wanted),
            MATRIX => Elements { reader: data, at: at + 8, can_come: size }.array(wanted),
            _ => Ok(None),
        };
        arrays.extend(found.map_err(|wrong| match wrong {
            Wrong::Content(byte, problem) => {
                let at = Position { byte, unpacked: kind == COMPRESSED };
                FileError { at, ..FileError::new(path, byte, problem) }
            }
            Wrong::Reading(error) if kind == COMPRESSED => {
                FileError::new(path, input.position(), FileProblem::archive(error))
            }
            Wrong::Reading(error) => unreadable(input.position())(error),
        })?);
        let padded = if kind == COMPRESSED { size } else { size.next_multiple_of(8) };
        let rest = at + 8 + padded - input.position();
        io::copy(&mut input.by_ref().take(rest), &mut io::sink()).map_err(unreadable(at))?;
    }
    Ok(arrays)
}

/// What is wrong with an element.
enum Wrong {
    /// What it says at this byte.
    Content(u64, FileProblem),
    /// It cannot be read or unpacked.
    Reading(io::Error),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        Wrong::Reading(error)
    }
}

/// The array in a packed element of `size` bytes, if that is one and its name is wanted.
fn packed(data: impl BufRead, size: u64, wanted: &[&str]) -> Result<Option<Array>, Wrong> {
    let mut reader = ZlibDecoder::new(data);
    let mut tag = [0; 8];
    let is_array = fill(&mut reader, &mut tag)? == tag.len() && word(&tag) == MATRIX;
    let mut elements = Elements { reader, at: 8, can_come: size * MOST_UNPACKED };
    let array = if is_array { elements.array(wanted)? } else { None };
    // Reading to the end makes the decoder compare its checksum.
    io::copy(&mut elements.reader, &mut io::sink())?;
    Ok(array.map(|array| Array { at: Position { unpacked: true, ..array.at }, ..array }))
}

/// The elements that an array consists of.
struct Elements<R> {
    reader: R,
    /// Where the next byte lies.
    at: u64,
    /// More bytes cannot come.
    can_come: u64,
}

impl<R: Read> Elements<R> {
    fn array(&mut self, wanted: &[&str]) -> Result<Option<Array>, Wrong> {
        // The flags repeat what the other elements say.
        self.next()?;
        let (kind, start, shape) = self.next()?;
        if kind != INT32 {
            let (expected, found) = (format!("an element of kind {INT32}"), format!("kind {kind}"));
            return Err(Wrong::Content(start, FileProblem::Format { expected, found }));
        }
        let shape = shape.chunks_exact(4).map(|size| word(size) as usize).collect();
        let (_, _, name) = self.next()?;
        let name = String::from_utf8_lossy(&name).into_owned();
        if !wanted.contains(&name.as_str()) {
            return Ok(None);
        }
        let (kind, byte, bytes) = self.next()?;
        Ok(Some(Array { name, shape, kind, bytes, at: Position { byte, unpacked: false } }))
    }

    /// Kind, place and content of the next element.
    fn next(&mut self) -> Result<(u32, u64, Vec<u8>), Wrong> {
        let mut tag = [0; 8];
        let start = self.at + 8;
        self.at += fill(&mut self.reader, &mut tag)? as u64;
        let first = word(&tag);
        let (kind, length) = (first & 0xffff, (first >> 16) as usize);
        if self.at < start {
            return Err(Wrong::Content(self.at, FileProblem::Truncated { expected: start }));
        }
        if let Some(short) = tag[4..].get(..length)
            && length > 0
        {
            return Ok((kind, start - 4, short.to_vec()));
        }
        if length > 0 {
            let (expected, found) = ("at most 4 bytes in a short element".to_owned(), length.to_string());
            return Err(Wrong::Content(start - 8, FileProblem::Format { expected, found }));
        }
        let length = u64::from(word(&tag[4..]));
        let mut bytes = Vec::new();
        reserve(&mut bytes, length, self.can_come).map_err(|problem| Wrong::Content(start, problem))?;
        self.at += self.reader.by_ref().take(length).read_to_end(&mut bytes)? as u64;
        if self.at < start + length {
            return Err(Wrong::Content(self.at, FileProblem::Truncated { expected: start + length }));
        }
        let padding = length.next_multiple_of(8) - length;
        self.at += io::copy(&mut self.reader.by_ref().take(padding), &mut io::sink())?;
        Ok((kind, start, bytes))
    }
}

/// The little-endian number that `bytes` begin with, at least four.
fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
