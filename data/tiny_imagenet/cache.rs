//! The file that keeps decoded images.
//!
//! All numbers are little-endian: the bytes `htpixels`; version, side and channels, 32 bits each; numbers of training and
//! of test images, 64 bits each; the checksum of the listing, 16 bytes; the CRC-32 of the pixels, 32 bits; the pixels of
//! the training and then of the test images, `[len, 64, 64, 3]`.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{FOLDER, IMAGE, SIDE};
use crate::checksum::digits;

const VERSION: u32 = 1;

/// What the pixels belong to.
pub(super) struct Identity {
    pub(super) train: usize,
    pub(super) test: usize,
    pub(super) digest: [u8; 16],
}

impl Identity {
    /// The header of the file without the checksum of the pixels.
    fn header(&self) -> Vec<u8> {
        let mut header = b"htpixels".to_vec();
        for word in [VERSION, SIDE as u32, 3] {
            header.extend(word.to_le_bytes());
        }
        for count in [self.train, self.test] {
            header.extend((count as u64).to_le_bytes());
        }
        header.extend(self.digest);
        header
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

/// The pixels of both halves, if the file is there, belongs to them, and is undamaged.
pub(super) fn read(path: &Path, identity: &Identity) -> Option<[Vec<u8>; 2]> {
    let mut file = File::open(path).ok()?;
    let expected = identity.header();
    let lengths = [identity.train, identity.test].map(|count| count * IMAGE);
    let whole = expected.len() + 4 + lengths[0] + lengths[1];
    if file.metadata().ok()?.len() != whole as u64 {
        return None;
    }
    let (mut header, mut checksum) = (vec![0; expected.len()], [0; 4]);
    file.read_exact(&mut header).ok()?;
    file.read_exact(&mut checksum).ok()?;
    if header != expected {
        return None;
    }
    let mut crc = crc32fast::Hasher::new();
    let mut half = |length: usize| {
        let mut pixels = Vec::with_capacity(length);
        (&file).take(length as u64).read_to_end(&mut pixels).ok()?;
        crc.update(&pixels);
        Some(pixels)
    };
    let pixels = [half(lengths[0])?, half(lengths[1])?];
    (crc.finalize() == u32::from_le_bytes(checksum)).then_some(pixels)
}

/// Writes the file, whole or not at all.
pub(super) fn write(path: &Path, identity: &Identity, pixels: &[Vec<u8>; 2]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut crc = crc32fast::Hasher::new();
    pixels.iter().for_each(|half| crc.update(half));
    files::write_with(path, |file| {
        file.write_all(&identity.header())?;
        file.write_all(&crc.finalize().to_le_bytes())?;
        pixels.iter().try_for_each(|half| file.write_all(half))
    })
}
