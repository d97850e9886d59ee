//! The members of a `.tar.gz`, or of a plain `.tar`, one after the other: ustar, old, GNU and pax headers,
//! long names included.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType};

use crate::error::{FileError, FileProblem};
use crate::input::{Failure, Hashed, Input, MOST_UNPACKED};

/// An archive, unpacked on the way where it is packed; some programs unpack a download and keep its name.
enum Reader {
    Plain(Input<Hashed<File>>),
    Gzip(MultiGzDecoder<Input<Hashed<File>>>),
}

impl Reader {
    fn input(&self) -> &Input<Hashed<File>> {
        match self {
            Reader::Plain(input) => input,
            Reader::Gzip(decoder) => decoder.get_ref(),
        }
    }

    fn into_input(self) -> Input<Hashed<File>> {
        match self {
            Reader::Plain(input) => input,
            Reader::Gzip(decoder) => decoder.into_inner(),
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Reader::Plain(input) => input.read(buffer),
            Reader::Gzip(decoder) => decoder.read(buffer),
        }
    }
}

/// Calls `visit` with the path, the length and the content of each regular file of the archive at `path`, which is read to
/// its end so that its checksum is compared. The MD5 of the archive.
///
/// The length is what a header announces, but never more than the archive can hold.
pub(crate) fn members(
    path: &Path,
    mut visit: impl FnMut(&str, u64, &mut dyn Read) -> Result<(), Failure>,
) -> Result<String, FileError> {
    let mut input = Input::open_hashed(path)?;
    let most = input.length().saturating_mul(MOST_UNPACKED);
    let unreadable = |error| FileError::new(path, 0, FileProblem::reading(error));
    let is_gzip = input.is_gzip().map_err(unreadable)?;
    if let Some(kind) = input.kind().map_err(unreadable)?.filter(|_| !is_gzip) {
        return Err(FileError::format(path, 0, "a .tar.gz archive", kind));
    }
    let mut reader = if is_gzip { Reader::Gzip(MultiGzDecoder::new(input)) } else { Reader::Plain(input) };
    let damaged = |reader: &Reader, error| {
        // The decoder reads ahead only where nothing is left.
        FileError::new(path, reader.input().position(), FileProblem::archive(error))
    };
    let visited = unpack(&mut reader, most, &mut visit);
    if let Err(Failure::Reading(error)) = visited {
        return Err(damaged(&reader, error));
    }
    // Damage to the archive explains whatever its members say.
    io::copy(&mut reader, &mut io::sink()).map_err(|error| damaged(&reader, error))?;
    match visited {
        Err(Failure::Content(error)) => Err(error),
        _ => reader.into_input().md5().map_err(|error| FileError::new(path, 0, FileProblem::reading(error))),
    }
}

fn unpack(
    reader: &mut impl Read,
    most: u64,
    visit: &mut impl FnMut(&str, u64, &mut dyn Read) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for entry in Archive::new(reader).entries()? {
        let entry = entry?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let left = entry.size();
        visit(&name, left.min(most), &mut Member { entry, left, name: &name })?;
    }
    Ok(())
}

/// What is in a member: that it ends before its announced length is an error.
struct Member<'a, R> {
    entry: R,
    left: u64,
    name: &'a str,
}

impl<R: Read> Read for Member<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.entry.read(buffer)?;
        if length == 0 && !buffer.is_empty() && self.left > 0 {
            let detail = format!("it ends within the member {}", self.name);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, detail));
        }
        self.left -= (length as u64).min(self.left);
        Ok(length)
    }
}
