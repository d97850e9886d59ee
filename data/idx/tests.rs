use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Three images of 2 rows and 5 columns.
fn images() -> Vec<u8> {
    [words(&[IMAGES, 3, 2, 5]), (0..30).collect()].concat()
}

fn labels() -> Vec<u8> {
    [words(&[LABELS, 4]), vec![9, 0, 3, 1]].concat()
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("some-idx-ubyte");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn image_error(&self, bytes: &[u8]) -> FileError {
        read_images(&self.write(bytes), None).unwrap_err()
    }
}

fn at(byte: u64, unpacked: bool) -> Position {
    Position { byte, unpacked }
}

#[test]
fn packed_and_unpacked_files_read_the_same() {
    let files = Files::new();
    let expected = IdxImages { count: 3, height: 2, width: 5, pixels: (0..30).collect() };
    for bytes in [images(), gzip(&images())] {
        assert_eq!(read_images(&files.write(&bytes), None).unwrap(), expected);
        assert_eq!(read_images(&files.write(&bytes), Some((2, 5))).unwrap(), expected);
    }
    for bytes in [labels(), gzip(&labels())] {
        assert_eq!(read_labels(&files.write(&bytes), 10).unwrap(), [9, 0, 3, 1]);
    }
}

#[test]
fn writers_and_readers_agree() {
    let files = Files::new();
    let original = Images {
        name: "some".into(),
        height: 3,
        width: 2,
        channels: 1,
        classes: 10,
        pixels: std::sync::Arc::new((0..12).map(|i| i * 20).collect()),
        labels: vec![7, 2],
    };
    let read = read_images(&files.write(&image_file(&original)), None).unwrap();
    assert_eq!((read.count, read.height, read.width, read.pixels), (2, 3, 2, original.pixels.to_vec()));
    assert_eq!(read_labels(&files.write(&label_file(&original)), 10).unwrap(), [7, 2]);
}

#[test]
fn a_missing_or_empty_file_is_said_to_be_so() {
    let files = Files::new();
    let error = read_images(&files.0.path().join("nothing"), None).unwrap_err();
    assert!(matches!(&error.problem, FileProblem::Unreadable(io) if io.kind() == io::ErrorKind::NotFound));
    let error = files.image_error(&[]);
    assert!(matches!(error.problem, FileProblem::Empty), "{error}");
    assert_eq!(error.at, at(0, false));
}

#[test]
fn a_wrong_magic_number_is_shown_beside_the_right_one() {
    let files = Files::new();
    let error = files.image_error(&labels());
    assert!(matches!(error.problem, FileProblem::Magic { expected: IMAGES, found: LABELS }));
    let text = error.to_string();
    for part in ["some-idx-ubyte", "at byte 0", "0x00000803 (IDX images)", "0x00000801 (IDX labels)"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let error = read_labels(&files.write(&gzip(&images())), 10).unwrap_err();
    assert!(matches!(error.problem, FileProblem::Magic { expected: LABELS, found: IMAGES }));
    assert_eq!(error.at, at(0, true));
    let error = files.image_error(b"anything else");
    assert!(matches!(error.problem, FileProblem::Magic { found: 0x616e_7974, .. }));
}

#[test]
fn every_cut_is_found_at_its_byte() {
    let files = Files::new();
    let whole = images();
    for length in 1..whole.len() {
        let error = files.image_error(&whole[..length]);
        let expected = if length < 16 { 16 } else { 46 };
        // A header word is missed where it begins, the pixels where they end.
        let byte = if length < 16 { length / 4 * 4 + length % 4 } else { length } as u64;
        assert!(
            matches!(error.problem, FileProblem::Truncated { expected: e } if e == expected),
            "{length}: {error}"
        );
        assert_eq!(error.at, at(byte, false));
        let error = files.image_error(&gzip(&whole[..length]));
        assert!(matches!(error.problem, FileProblem::Truncated { .. }), "{length}: {error}");
        assert_eq!(error.at, at(byte, true));
    }
}

#[test]
fn every_cut_of_a_packed_file_is_found() {
    let files = Files::new();
    let packed = gzip(&images());
    for length in 2..packed.len() {
        let error = files.image_error(&packed[..length]);
        assert!(matches!(error.problem, FileProblem::GzipTruncated { .. }), "{length}: {error}");
        assert_eq!(error.at, at(length as u64, false));
    }
    let error = files.image_error(&packed[..packed.len() - 1]);
    assert!(matches!(error.problem, FileProblem::GzipTruncated { unpacked: 46, expected: 46 }), "{error}");
}

#[test]
fn trailing_bytes_are_found() {
    let files = Files::new();
    let error = files.image_error(&[images(), vec![0]].concat());
    assert!(matches!(error.problem, FileProblem::Trailing));
    assert_eq!(error.at, at(46, false));
    let error = files.image_error(&gzip(&[images(), vec![0]].concat()));
    assert!(matches!(error.problem, FileProblem::Trailing));
    assert_eq!(error.at, at(46, true));
    // With a wrong checksum it is the packed file that is damaged.
    let mut damaged = gzip(&[images(), vec![0; 100]].concat());
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    let error = files.image_error(&damaged);
    assert!(matches!(error.problem, FileProblem::Gzip { .. }), "{error}");
    let packed = gzip(&images());
    let error = files.image_error(&[packed.clone(), vec![0, 0]].concat());
    assert!(matches!(error.problem, FileProblem::Trailing));
    assert_eq!(error.at, at(packed.len() as u64, false));
}

#[test]
fn any_flipped_bit_of_a_packed_file_is_found() {
    let files = Files::new();
    let packed = gzip(&images());
    let mut harmless = 0;
    // The ten bytes of the gzip header hold no data. The checksum covers the rest, but for the bits that fill up the
    // last byte of the stream.
    for byte in 10..packed.len() {
        for bit in 0..8 {
            let mut damaged = packed.clone();
            damaged[byte] ^= 1 << bit;
            if let Ok(read) = read_images(&files.write(&damaged), None) {
                assert_eq!((byte, read.pixels), (packed.len() - 9, (0..30).collect()), "bit {bit}");
                harmless += 1;
            }
        }
    }
    assert!(harmless < 8);
    let mut damaged = packed.clone();
    let checksum = packed.len() - 8;
    damaged[checksum] ^= 1;
    let error = files.image_error(&damaged);
    assert!(matches!(error.problem, FileProblem::Gzip { unpacked: 46, .. }), "{error}");
}

#[test]
fn impossible_sizes_are_refused_without_allocating_them() {
    let files = Files::new();
    let cases = [([0, 2, 5], 4, "images"), ([3, 0, 5], 8, "rows"), ([3, 2, 4097], 12, "columns")];
    for ([count, height, width], byte, what) in cases {
        let error = files.image_error(&words(&[IMAGES, count, height, width]));
        assert!(matches!(error.problem, FileProblem::Dimension { what: w, .. } if w == what), "{error}");
        assert_eq!(error.at, at(byte, false));
    }
    // 2^32 images of 4096x4096 would be 2^56 bytes.
    let error = files.image_error(&words(&[IMAGES, u32::MAX, 4096, 4096]));
    assert!(matches!(error.problem, FileProblem::Truncated { .. }));
    let error = read_images(&files.write(&images()), Some((28, 28))).unwrap_err();
    assert!(error.to_string().contains("at byte 8: expected 28 rows, found 2"), "{error}");
    let error = read_labels(&files.write(&words(&[LABELS, 0])), 10).unwrap_err();
    assert!(error.to_string().contains("at byte 4: expected at least 1 labels, found 0"), "{error}");
}

#[test]
fn a_label_out_of_range_is_found_at_its_byte() {
    let files = Files::new();
    let mut bytes = labels();
    bytes[10] = 10;
    for (bytes, unpacked) in [(bytes.clone(), false), (gzip(&bytes), true)] {
        let error = read_labels(&files.write(&bytes), 10).unwrap_err();
        assert!(matches!(error.problem, FileProblem::Label { classes: 10, found: 10 }), "{error}");
        assert_eq!(error.at, at(10, unpacked));
    }
    assert!(read_labels(&files.write(&bytes), 11).is_ok());
}
