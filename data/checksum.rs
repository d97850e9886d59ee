//! Checksums, as lower-case hexadecimal digits.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use md5::{Digest, Md5};
use sha2::Sha256;

/// The md5 of a file as lower-case hexadecimal digits.
pub(crate) fn md5_of(path: &Path) -> io::Result<String> {
    md5_of_file(&mut File::open(path)?)
}

/// The md5 of the rest of an open file.
pub(crate) fn md5_of_file(file: &mut File) -> io::Result<String> {
    let mut hash = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(digits(&hash.finalize()))
}

/// The SHA-256 of bytes as lower-case hexadecimal digits; processors have instructions for it.
pub(crate) fn sha256_of_bytes(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    digits(&hash.finalize())
}

/// Lower-case hexadecimal digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
