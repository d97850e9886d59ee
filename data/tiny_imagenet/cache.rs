//! The file that keeps decoded images: safetensors of two tensors `train` and `test`, bytes `[len, 64, 64, 3]`. Its
//! metadata say which images it holds (`digest`, the checksum of their listing), the MD5 of the archive that they were
//! decoded from, where that was a whole one, and the CRC-32 of it and both tensors.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{FOLDER, IMAGE, SIDE};
use crate::checksum::digits;

/// Decoded images.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    /// Pixels of the training and of the test images.
    pub(super) pixels: [Vec<u8>; 2],
    /// MD5 in hexadecimal of the whole archive that they are from, or [`NO_ARCHIVE`]. It is kept because an archive is
    /// long to read where its pixels are here.
    pub(super) archive: String,
}

/// As long as an MD5, and none.
pub(super) const NO_ARCHIVE: &str = "--------------------------------";

/// What the pixels belong to.
pub(super) struct Identity {
    pub(super) train: usize,
    pub(super) test: usize,
    pub(super) digest: [u8; 16],
}

impl Identity {
    /// What stands before the pixels: the length of the JSON that follows, and the JSON. It is as long for any archive and
    /// checksum, and ends with them.
    fn header(&self, archive: &str, crc: u32) -> Vec<u8> {
        let [train, test] = self.lengths();
        let tensor = |len: usize, from: usize, to: usize| {
            format!("{{\"dtype\":\"U8\",\"shape\":[{len},{SIDE},{SIDE},3],\"data_offsets\":[{from},{to}]}}")
        };
        let mut json = format!(
            "{{\"train\":{},\"test\":{},\"__metadata__\":{{\"format\":\"decoded images\",\"version\":\"3\",\
             \"digest\":\"{}\",\"archive\":\"{archive}\",\"crc32\":\"{crc:08x}\"}}}}",
            tensor(self.train, 0, train),
            tensor(self.test, train, train + test),
            digits(&self.digest),
        );
        while !json.len().is_multiple_of(8) {
            json.push(' ');
        }
        [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat()
    }

    /// Bytes of the training and of the test images.
    fn lengths(&self) -> [usize; 2] {
        [self.train, self.test].map(|count| count * IMAGE)
    }
}

/// Where the file may be: beside the data, then in the user's cache folder.
pub(super) fn places(home: &Path, identity: &Identity) -> Vec<PathBuf> {
    let mut places = vec![home.join(format!("{FOLDER}.cache"))];
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .or_else(|| variable("LOCALAPPDATA"));
    if let Some(user) = user {
        let digest = digits(&identity.digest);
        places.push(user.join("hare-tortoise").join(format!("{FOLDER}-{digest}.cache")));
    }
    places
}

/// The images, if the file is there, belongs to them, and is undamaged.
pub(super) fn read(path: &Path, identity: &Identity) -> Option<Decoded> {
    let mut file = File::open(path).ok()?;
    let expected = identity.header(NO_ARCHIVE, 0);
    let lengths = identity.lengths();
    let whole = expected.len() + lengths[0] + lengths[1];
    if file.metadata().ok()?.len() != whole as u64 {
        return None;
    }
    let mut header = vec![0; expected.len()];
    file.read_exact(&mut header).ok()?;
    let at = expected.windows(NO_ARCHIVE.len()).position(|window| window == NO_ARCHIVE.as_bytes())?;
    if header[..at] != expected[..at] {
        return None;
    }
    let archive = String::from_utf8(header[at..at + NO_ARCHIVE.len()].to_vec()).ok()?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(archive.as_bytes());
    let mut half = |length: usize| {
        let mut pixels = Vec::new();
        pixels.try_reserve_exact(length).ok()?;
        (&file).take(length as u64).read_to_end(&mut pixels).ok()?;
        crc.update(&pixels);
        Some(pixels)
    };
    let pixels = [half(lengths[0])?, half(lengths[1])?];
    (header == identity.header(&archive, crc.finalize())).then_some(Decoded { pixels, archive })
}

/// Writes the file, whole or not at all.
pub(super) fn write(path: &Path, identity: &Identity, decoded: &Decoded) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let Decoded { pixels, archive } = decoded;
    let mut crc = crc32fast::Hasher::new();
    crc.update(archive.as_bytes());
    pixels.iter().for_each(|half| crc.update(half));
    files::write_with(path, |file| {
        file.write_all(&identity.header(archive, crc.finalize()))?;
        pixels.iter().try_for_each(|half| file.write_all(half))
    })
}
