//! What a file is that lies where another was expected: in words, by its first bytes.

/// First bytes and what begins with them. Four tell enough, so that the first word of a file does.
const KINDS: [(&[u8], &str); 19] = [
    (b"<!DO", "a web page"),
    (b"<!do", "a web page"),
    (b"<htm", "a web page"),
    (b"<HTM", "a web page"),
    (b"<?xm", "an XML page"),
    (b"vers", "a pointer of Git LFS, not the file itself (`git lfs pull` fetches that)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xfd7zX", "a file packed by xz"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"BZh", "a file packed by bzip2"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd"),
    (b"\x1f\x8b", "a file packed by gzip"),
    (b"Rar!", "a RAR archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUM", "a NumPy array"),
    (b"PAR1", "a Parquet file"),
];

/// What begins with these bytes, if it is something that people have beside data.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    KINDS.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, kind)| *kind)
}
