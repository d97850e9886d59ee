//! Zip archives by the crate `zip`: the list of members, and each on demand, by several threads.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zip::ZipArchive;
use zip::result::{ZipError, ZipResult};

use crate::error::{FileError, FileProblem};
use crate::input::fill;
use crate::kind::kind_of;

/// What [`kind_of`] calls such a file.
const ZIP: &str = "a zip archive";

/// An archive that is open.
pub(crate) struct Zip {
    pub(crate) path: PathBuf,
    archive: Mutex<ZipArchive<BufReader<File>>>,
    /// What is in it, in the order of its directory.
    pub(crate) members: Vec<Member>,
}

/// What the directory says about a member.
pub(crate) struct Member {
    /// Its path in the archive, with `/` between the parts; of a folder it ends in `/`.
    pub(crate) name: String,
    /// Its length, unpacked.
    pub(crate) length: u64,
    /// CRC-32 of its unpacked bytes.
    pub(crate) crc: u32,
    index: usize,
    /// Where its header lies.
    offset: u64,
}

impl Zip {
    /// Opens the archive and reads its directory.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let unreadable = |error| FileError::new(path, 0, FileProblem::reading(error));
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut start = [0; 4];
        let found = fill(&mut &file, &mut start).and_then(|_| (&file).rewind()).map(|()| kind_of(&start));
        if let Some(kind) = found.map_err(unreadable)?.filter(|kind| *kind != ZIP) {
            return Err(FileError::format(path, 0, ZIP, kind));
        }
        // The directory lies at the end: that is where it is missing.
        let damaged = |error: ZipError| {
            let missing = error.to_string().contains("EOCD");
            let why = if missing { "as in a file that was cut".to_owned() } else { error.to_string() };
            problem(path, length, "there is no directory at its end that can be read", &why)
        };
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
        let members = (0..archive.len()).map(|index| member(&mut archive, index));
        let members = members.collect::<ZipResult<_>>().map_err(damaged)?;
        Ok(Self { path: path.to_path_buf(), archive: Mutex::new(archive), members })
    }

    /// The bytes of a member, compared with its checksum; no more than `most`.
    pub(crate) fn read(&self, member: &Member, most: u64) -> Result<Vec<u8>, FileError> {
        let failed = |error: &dyn Display| problem(&self.path, member.offset, &member.name, error);
        if member.length > most {
            let detail = format!("{}: {} bytes, at most {most} are possible", member.name, member.length);
            return Err(FileError::new(&self.path, member.offset, FileProblem::Archive { detail }));
        }
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = |detail| FileError::new(&self.path, member.offset, FileProblem::Packing { detail });
        let file = archive.by_index(member.index);
        let file = file.map_err(|error| packing(&error).map_or_else(|| failed(&error), packed))?;
        let mut bytes = Vec::new();
        // One byte more than announced: then the crate sees the end, and with it the checksum.
        file.take(member.length + 1).read_to_end(&mut bytes).map_err(|error| {
            // Some ways of packing are refused only when the first byte is asked for.
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ZipError>());
            inner.and_then(packing).map_or_else(|| failed(&error), packed)
        })?;
        if bytes.len() as u64 != member.length {
            return Err(failed(&"it has another length than announced"));
        }
        Ok(bytes)
    }
}

fn member(archive: &mut ZipArchive<BufReader<File>>, index: usize) -> ZipResult<Member> {
    let file = archive.by_index_raw(index)?;
    // Some programs for Windows write their own separator.
    let name = file.name()?.replace('\\', "/");
    let (length, crc, offset) = (file.size(), file.crc32(), file.header_start());
    Ok(Member { name, length, crc, index, offset })
}

/// In which way a member is packed that the crate does not read.
fn packing(error: &ZipError) -> Option<String> {
    Some(match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => "with a password".to_owned(),
        ZipError::UnsupportedArchive(what) => (*what).to_owned(),
        ZipError::CompressionMethodNotSupported(9) => "by deflate64".to_owned(),
        ZipError::CompressionMethodNotSupported(12) => "by bzip2".to_owned(),
        ZipError::CompressionMethodNotSupported(14) => "by LZMA".to_owned(),
        ZipError::CompressionMethodNotSupported(93) => "by zstd".to_owned(),
        ZipError::CompressionMethodNotSupported(95) => "by xz".to_owned(),
        ZipError::CompressionMethodNotSupported(number) => format!("by method {number} of the zip format"),
        _ => return None,
    })
}

fn problem(path: &Path, byte: u64, what: &str, error: &dyn Display) -> FileError {
    FileError::new(path, byte, FileProblem::Archive { detail: format!("{what}: {error}") })
}
