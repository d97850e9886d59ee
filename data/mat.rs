//! Reader of MATLAB 5 files (`.mat`), as far as SVHN needs it: little-endian files of numeric arrays, packed with zlib or
//! not.
//!
//! A file is a header of 128 bytes and then elements: kind and length in 32 bits each, data, padding to 8 bytes. An
//! element of kind 15 is another element packed with zlib. An array, kind 14, consists of elements: flags, shape,
//! name, data in column-major order. Elements of up to 4 bytes may have length, kind and data within 8 bytes.
//! (Source: MathWorks, *MAT-File Format*.)

use std::io::{self, Read};
use std::path::Path;

use flate2::bufread::ZlibDecoder;

use crate::error::{FileError, FileProblem, Position};

/// Kind of an element of unsigned bytes.
pub(crate) const UINT8: u32 = 2;
const INT32: u32 = 5;
/// Kind of an element of 64-bit floats.
pub(crate) const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const HEADER: usize = 128;
/// More unpacked bytes than this are refused.
const LARGEST: u64 = 1 << 30;

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

/// All arrays of the file at `path`, whose content is `file`.
pub(crate) fn arrays(path: &Path, file: &[u8]) -> Result<Vec<Array>, FileError> {
    let cut = |expected: usize| {
        let problem = FileProblem::Truncated { expected: expected as u64 };
        Err(FileError::new(path, file.len() as u64, problem))
    };
    if file.is_empty() {
        return Err(FileError::new(path, 0, FileProblem::Empty));
    }
    if file.starts_with(b"MATLAB 7.3") || file.starts_with(b"\x89HDF") {
        return Err(FileError::new(path, 0, FileProblem::Hdf5));
    }
    if file.len() < HEADER {
        return cut(HEADER);
    }
    if file[124..128] != [0x00, 0x01, b'I', b'M'] {
        let found = format!("the bytes {:02x?}", &file[124..128]);
        return Err(FileError::format(path, 124, "a little-endian MATLAB 5 file", found));
    }
    let mut arrays = Vec::new();
    let mut at = HEADER;
    while at < file.len() {
        if file.len() - at < 8 {
            return cut(at + 8);
        }
        let (kind, length) = (word(file, at), word(file, at + 4) as usize);
        let Some(data) = file[at + 8..].get(..length) else { return cut(at + 8 + length) };
        if kind == COMPRESSED {
            let unpacked = unpack(data).map_err(|(read, detail)| {
                FileError::new(path, (at + 8 + read) as u64, FileProblem::Archive { detail })
            })?;
            let damaged = |(byte, problem)| FileError {
                at: Position { byte, unpacked: true },
                ..FileError::new(path, byte, problem)
            };
            if unpacked.len() >= 8 && word(&unpacked, 0) == MATRIX {
                arrays.push(array(&unpacked, 8, true).map_err(damaged)?);
            }
            at += 8 + length;
        } else {
            if kind == MATRIX {
                let matrix = array(&file[..at + 8 + length], at + 8, false);
                arrays.push(matrix.map_err(|(byte, problem)| FileError::new(path, byte, problem))?);
            }
            at += 8 + length.next_multiple_of(8);
        }
    }
    Ok(arrays)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, (usize, String)> {
    let mut decoder = ZlibDecoder::new(packed).take(LARGEST);
    let mut bytes = Vec::new();
    match decoder.read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 == LARGEST => Err((0, "its content is too large".to_owned())),
        Ok(_) => Ok(bytes),
        Err(error) => {
            let cut = error.kind() == io::ErrorKind::UnexpectedEof;
            let left = if cut { 0 } else { decoder.get_ref().get_ref().len() };
            Err((packed.len() - left, error.to_string()))
        }
    }
}

/// The array whose elements begin at byte `at`.
fn array(bytes: &[u8], mut at: usize, unpacked: bool) -> Result<Array, (u64, FileProblem)> {
    let mut next = |wanted: Option<u32>| {
        let (kind, start, length) = element(bytes, &mut at)?;
        match wanted {
            Some(wanted) if kind != wanted => Err((
                start as u64,
                FileProblem::Format {
                    expected: format!("an element of kind {wanted}"),
                    found: format!("kind {kind}"),
                },
            )),
            _ => Ok((kind, start, &bytes[start..start + length])),
        }
    };
    // The flags repeat what the other elements say.
    next(None)?;
    let (_, _, shape) = next(Some(INT32))?;
    let (_, _, name) = next(None)?;
    let (kind, start, data) = next(None)?;
    Ok(Array {
        name: String::from_utf8_lossy(name).into_owned(),
        shape: shape.chunks_exact(4).map(|size| word(size, 0) as usize).collect(),
        kind,
        bytes: data.to_vec(),
        at: Position { byte: start as u64, unpacked },
    })
}

/// Kind, start and length of the element at `at`, which moves on to the next.
fn element(bytes: &[u8], at: &mut usize) -> Result<(u32, usize, usize), (u64, FileProblem)> {
    let cut = |expected: usize| (bytes.len() as u64, FileProblem::Truncated { expected: expected as u64 });
    if bytes.len().saturating_sub(*at) < 8 {
        return Err(cut(*at + 8));
    }
    let first = word(bytes, *at);
    let (kind, start, length, next) = if first >> 16 != 0 {
        (first & 0xffff, *at + 4, (first >> 16) as usize, *at + 8)
    } else {
        let length = word(bytes, *at + 4) as usize;
        (first, *at + 8, length, *at + 8 + length.next_multiple_of(8))
    };
    if start + length > bytes.len() || next < start + length {
        return Err(cut(start + length));
    }
    *at = next;
    Ok((kind, start, length))
}

/// The little-endian number of four bytes at `at`, which lies within `bytes`.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
