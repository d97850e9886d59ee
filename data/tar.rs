//! The wanted members of a `.tar.gz`, by name: ustar, old, GNU and pax headers, long names included.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType};

use crate::error::{FileError, FileProblem};

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
    let file = File::open(path).map_err(|error| FileError::new(path, 0, FileProblem::reading(error)))?;
    let mut reader = MultiGzDecoder::new(Counted { inner: BufReader::new(file), count: 0 });
    unpack(&mut reader, wanted).map_err(|error| {
        // The decoder reads ahead only where nothing is left.
        FileError::new(path, reader.get_ref().count, FileProblem::archive(error))
    })
}

fn unpack(reader: &mut impl Read, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Member>> {
    let mut members = Vec::new();
    let mut archive = Archive::new(reader);
    for entry in archive.entries()? {
        let entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != EntryType::Regular || !wanted(&name) {
            continue;
        }
        let size = entry.size();
        if size > LARGEST {
            return Err(invalid(format!("the member {name} is said to have {size} bytes")));
        }
        let mut bytes = Vec::new();
        // Memory grows with what is there, not with what a damaged header announces.
        entry.take(size).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < size {
            let detail = format!("it ends within the member {name}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, detail));
        }
        members.push(Member { name, bytes });
    }
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(members)
}

fn invalid(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail)
}

/// A reader that knows how many bytes were taken from it.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count += length as u64;
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.count += length as u64;
        self.inner.consume(length);
    }
}
