//! Reader of `.zip` archives: the list of members, and each on demand.
//!
//! The format (PKWARE, *APPNOTE.TXT - .ZIP File Format Specification*, 6.3): the archive ends with a record that says where
//! its directory lies; an archive of more than 65,535 members has a longer such record (zip64) before it. The directory
//! gives name, method, checksum and place of each member. Members are stored or deflated; all numbers are
//! little-endian.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flate2::bufread::DeflateDecoder;

use crate::error::{FileError, FileProblem};

const END: u32 = 0x0605_4b50;
const END_LENGTH: u64 = 22;
const END64_LOCATOR: u32 = 0x0706_4b50;
const END64_LOCATOR_LENGTH: u64 = 20;
const END64: u32 = 0x0606_4b50;
const ENTRY: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;
/// The longest comment after the end record.
const LONGEST_COMMENT: u64 = 65_535;
/// Larger members are refused: no file of a known data set comes near.
const LARGEST: u64 = 1 << 28;

/// An archive that is open.
pub(crate) struct Zip {
    pub(crate) path: PathBuf,
    file: Mutex<File>,
    /// What is in it, in the order of its directory.
    pub(crate) members: Vec<Member>,
}

/// What the directory says about a member.
pub(crate) struct Member {
    /// Its path in the archive; of a folder it ends in `/`.
    pub(crate) name: String,
    /// Its length, unpacked.
    pub(crate) length: u64,
    /// CRC-32 of its unpacked bytes.
    pub(crate) crc: u32,
    method: u16,
    encrypted: bool,
    packed: u64,
    offset: u64,
}

impl Zip {
    /// Opens the archive and reads its directory.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let unreadable = |error| FileError::new(path, 0, FileProblem::reading(error));
        let damaged = |(byte, detail)| FileError::new(path, byte, FileProblem::Archive { detail });
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let directory = directory(&mut file, length).map_err(damaged)?;
        let members = members(&directory).map_err(damaged)?;
        Ok(Self { path: path.to_path_buf(), file: Mutex::new(file), members })
    }

    /// The bytes of a member, compared with its checksum. Several threads may read at once.
    pub(crate) fn read(&self, member: &Member) -> Result<Vec<u8>, FileError> {
        self.unpack(member).map_err(|(byte, detail)| {
            let detail = format!("{}: {detail}", member.name);
            FileError::new(&self.path, byte, FileProblem::Archive { detail })
        })
    }

    fn unpack(&self, member: &Member) -> Result<Vec<u8>, Problem> {
        let at = |detail: &str| (member.offset, detail.to_owned());
        if member.packed > LARGEST || member.length > LARGEST {
            return Err(at("it is too large"));
        }
        if member.encrypted {
            return Err(at("it is encrypted"));
        }
        let packed = {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let header = read_at(&mut file, member.offset, 30)?;
            if word(&header, 0) != LOCAL {
                return Err(at("its header is not where the directory says"));
            }
            let before = 30 + u64::from(half(&header, 26)) + u64::from(half(&header, 28));
            read_at(&mut file, member.offset + before, member.packed)?
        };
        let bytes = match member.method {
            0 => packed,
            8 => {
                let mut bytes = Vec::new();
                let mut decoder = DeflateDecoder::new(packed.as_slice()).take(member.length + 1);
                decoder.read_to_end(&mut bytes).map_err(|error| at(&error.to_string()))?;
                bytes
            }
            method => return Err(at(&format!("its compression method {method} is not supported"))),
        };
        if bytes.len() as u64 != member.length || crc32fast::hash(&bytes) != member.crc {
            return Err(at("its checksum is wrong"));
        }
        Ok(bytes)
    }
}

/// A byte of the archive and what is wrong there.
type Problem = (u64, String);

struct Directory {
    /// Where it begins in the file.
    offset: u64,
    count: u64,
    bytes: Vec<u8>,
}

fn directory(file: &mut File, length: u64) -> Result<Directory, Problem> {
    let tail_length = length.min(END_LENGTH + LONGEST_COMMENT);
    let tail_start = length - tail_length;
    let tail = read_at(file, tail_start, tail_length)?;
    // The last place where the signature stands and the comment after the record ends with the file.
    let end = (0..(tail.len() + 1).saturating_sub(END_LENGTH as usize)).rev().find(|&at| {
        word(&tail, at) == END && at + END_LENGTH as usize + usize::from(half(&tail, at + 20)) == tail.len()
    });
    let Some(end) = end else {
        return Err((length, "there is no directory at its end".to_owned()));
    };
    let mut count = u64::from(half(&tail, end + 10));
    let mut size = u64::from(word(&tail, end + 12));
    let mut offset = u64::from(word(&tail, end + 16));
    let mut directory_end = tail_start + end as u64;
    if count == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff {
        let locator_at = directory_end.checked_sub(END64_LOCATOR_LENGTH);
        let locator = locator_at.map(|at| read_at(file, at, END64_LOCATOR_LENGTH)).transpose()?;
        // Without a locator the numbers stand for themselves.
        if let Some(locator) = locator.filter(|locator| word(locator, 0) == END64_LOCATOR) {
            directory_end = double(&locator, 8);
            let record = read_at(file, directory_end, 56)?;
            if word(&record, 0) != END64 {
                return Err((directory_end, "there is no zip64 record where one is announced".to_owned()));
            }
            (count, size, offset) = (double(&record, 32), double(&record, 40), double(&record, 48));
        }
    }
    if offset.checked_add(size).is_none_or(|end| end > directory_end) {
        return Err((directory_end, "its directory does not lie within it".to_owned()));
    }
    Ok(Directory { offset, count, bytes: read_at(file, offset, size)? })
}

fn members(directory: &Directory) -> Result<Vec<Member>, Problem> {
    let bytes = &directory.bytes;
    let mut members = Vec::new();
    let mut at = 0;
    for _ in 0..directory.count {
        let problem = |detail: &str| (directory.offset + at as u64, detail.to_owned());
        let Some(entry) = bytes.get(at..).filter(|rest| rest.len() >= 46 && word(rest, 0) == ENTRY) else {
            return Err(problem("its directory has fewer members than it announces"));
        };
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(half(entry, at)));
        let Some(strings) = entry.get(46..46 + name + extra) else {
            return Err(problem("its directory breaks off within a name"));
        };
        // Each that does not fit 32 bits follows in the extra field, in this order.
        let mut wide = wide_numbers(&strings[name..]).into_iter();
        let mut number = |at: usize| match word(entry, at) {
            0xffff_ffff => wide.next().unwrap_or(u64::from(u32::MAX)),
            value => u64::from(value),
        };
        let (length, packed, offset) = (number(24), number(20), number(42));
        members.push(Member {
            name: String::from_utf8_lossy(&strings[..name]).into_owned(),
            length,
            crc: word(entry, 16),
            method: half(entry, 10),
            encrypted: half(entry, 8) & 1 == 1,
            packed,
            offset,
        });
        at += 46 + name + extra + comment;
    }
    Ok(members)
}

/// The 64-bit numbers of the zip64 extra field.
fn wide_numbers(mut extra: &[u8]) -> Vec<u64> {
    while extra.len() >= 4 {
        let (kind, length) = (half(extra, 0), usize::from(half(extra, 2)));
        let Some(field) = extra.get(4..4 + length) else { break };
        if kind == 1 {
            return field.chunks_exact(8).map(|bytes| double(bytes, 0)).collect();
        }
        extra = &extra[4 + length..];
    }
    Vec::new()
}

fn read_at(file: &mut File, offset: u64, length: u64) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let mut read = |bytes: &mut Vec<u8>| -> io::Result<usize> {
        file.seek(SeekFrom::Start(offset))?;
        file.take(length).read_to_end(bytes)
    };
    match read(&mut bytes) {
        Err(error) => Err((offset, error.to_string())),
        Ok(found) if (found as u64) < length => Err((offset + found as u64, "it ends here".to_owned())),
        Ok(_) => Ok(bytes),
    }
}

/// The little-endian number of two bytes at `at`, which lies within `bytes`.
fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

fn double(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
