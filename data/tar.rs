//! Reader of `.tar.gz` archives: the wanted members, by name.
//!
//! The format is POSIX ustar: blocks of 512 bytes, for each member a header with name (bytes 0 to 99), size in octal
//! (124 to 135), checksum in octal (148 to 155: the sum of all header bytes, its own taken for spaces), kind (156) and the
//! front of a long name (345 to 499), then the data, padded to whole blocks.

use std::io::{self, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{FileError, FileProblem};

const BLOCK: usize = 512;
/// Larger members are refused: no file of a known data set comes near.
const LARGEST: u64 = 1 << 28;

/// A regular file of an archive.
pub(crate) struct Member {
    /// Its path in the archive.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// The members of the archive at `path` whose names are `wanted`, in the order of the archive, which is read to its end so
/// that its checksum is compared.
pub(crate) fn members(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<Member>, FileError> {
    let packed =
        std::fs::read(path).map_err(|error| FileError::new(path, 0, FileProblem::Unreadable(error)))?;
    let mut reader = MultiGzDecoder::new(packed.as_slice());
    unpack(&mut reader, wanted).map_err(|error| {
        let cut = error.kind() == io::ErrorKind::UnexpectedEof;
        let read = packed.len() - reader.get_ref().len();
        let byte = if cut { packed.len() } else { read };
        FileError::new(path, byte as u64, FileProblem::Archive { detail: error.to_string() })
    })
}

fn unpack(reader: &mut impl Read, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Member>> {
    let mut members = Vec::new();
    let mut header = [0; BLOCK];
    loop {
        reader.read_exact(&mut header)?;
        // Blocks of zeros are the end.
        if header.iter().all(|&byte| byte == 0) {
            break;
        }
        let checksum = octal(&header[148..156])?;
        let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
        let own: u64 = header[148..156].iter().map(|&byte| u64::from(byte)).sum();
        if checksum != sum - own + 8 * u64::from(b' ') {
            return Err(invalid("a tar header has a wrong checksum".to_owned()));
        }
        let size = octal(&header[124..136])?;
        let name = match (text(&header[345..500]), text(&header[..100])) {
            (front, name) if front.is_empty() || header[257..262] != *b"ustar" => name,
            (front, name) => format!("{front}/{name}"),
        };
        // A regular file is of kind '0', in old archives 0.
        if matches!(header[156], b'0' | 0) && wanted(&name) {
            if size > LARGEST {
                return Err(invalid(format!("the member {name} is said to have {size} bytes")));
            }
            let mut bytes = Vec::new();
            reader.take(size).read_to_end(&mut bytes)?;
            ended_early(&name, size, bytes.len() as u64)?;
            skip(reader, &name, size.next_multiple_of(BLOCK as u64) - size)?;
            members.push(Member { name, bytes });
        } else {
            skip(reader, &name, size.checked_next_multiple_of(BLOCK as u64).unwrap_or(size))?;
        }
    }
    io::copy(reader, &mut io::sink())?;
    Ok(members)
}

fn skip(reader: &mut impl Read, name: &str, length: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.take(length), &mut io::sink())?;
    ended_early(name, length, skipped)
}

fn ended_early(name: &str, expected: u64, found: u64) -> io::Result<()> {
    if found == expected {
        return Ok(());
    }
    let detail = format!("it ends within the member {name}");
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, detail))
}

/// The characters before the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn octal(bytes: &[u8]) -> io::Result<u64> {
    let digits = text(bytes);
    u64::from_str_radix(digits.trim(), 8)
        .map_err(|_| invalid(format!("a tar header has `{}` for a number", digits.escape_default())))
}

fn invalid(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail)
}
