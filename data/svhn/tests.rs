use std::fs;

use tempfile::TempDir;

use super::*;
use crate::testing::mat as file;

fn bytes(count: usize) -> Vec<u8> {
    (0..count * IMAGE).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn two(y: &[u8], packed: bool) -> Vec<u8> {
    file(&[("X", &[32, 32, 3, 2], 2, &bytes(2)), ("y", &[2, 1], 2, y)], packed)
}

fn arrays(bytes: &[u8]) -> Result<Vec<Array>, FileError> {
    let mut input = Input::new(bytes.len() as u64, bytes);
    mat::arrays(Path::new("train_32x32.mat"), &mut input, &["X", "y"])
}

fn load_with(train: &[u8], test: &[u8]) -> Result<DataSet, Error> {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("svhn")).unwrap();
    fs::write(dir.path().join("svhn/train_32x32.mat"), train).unwrap();
    fs::write(dir.path().join("test_32x32.mat"), test).unwrap();
    load(&Name::Svhn.folders(dir.path()))
}

#[test]
fn packed_and_plain_files_are_read() {
    let doubles: Vec<u8> = [3.0f64].iter().flat_map(|value| value.to_le_bytes()).collect();
    let one = file(&[("y", &[1, 1], 9, &doubles), ("X", &[32, 32, 3], 2, &bytes(1))], false);
    for packed in [true, false] {
        let set = load_with(&two(&[10, 1], packed), &one).unwrap();
        assert_eq!(
            (set.train.labels.as_slice(), set.test.labels.as_slice()),
            ([0, 1].as_slice(), [3].as_slice())
        );
        assert_eq!((set.train.name.as_str(), set.train.classes), ("svhn train", 10));
        let all = bytes(2);
        for (image, row, column, channel) in [(0, 0, 0, 0), (1, 31, 31, 2), (1, 4, 17, 1), (0, 9, 2, 2)] {
            let found = set.train.image(image)[(row * SIDE + column) * 3 + channel];
            assert_eq!(found, all[row + SIDE * (column + SIDE * (channel + 3 * image))]);
        }
    }
}

#[test]
fn damage_names_the_file_the_byte_and_the_remedy() {
    let good = two(&[10, 1], false);
    let packed = two(&[10, 1], true);
    let fails = |train: &[u8], words: &str| {
        let Err(error) = load_with(train, &good) else { panic!("not an error: {words}") };
        let text = error.to_string();
        let text = text.split_once("train_32x32.mat: ").unwrap().1;
        assert!(text.starts_with(words), "{text}");
        assert!(text.contains("get it with `ht data fetch svhn --data "), "{text}");
    };
    fails(&[], "at byte 0: the file is empty");
    let Err(error) = load_with(b"MATLAB 7.3 MAT-file, Platform: GLNXA64", &good) else { panic!("read") };
    let text = error.to_string();
    assert!(text.contains("HDF5; save it as version 7") && !text.contains("ht data fetch"), "{text}");
    fails(&good[..100], "at byte 100: the data end here; expected 128");
    fails(&good[..3000], "at byte 3000: the data end here; expected 6336");
    fails(&packed[..1000], "at byte 1000: the data end here; expected ");
    fails(
        &[&good[..124], &[0, 2, b'I', b'M'], &good[128..]].concat(),
        "at byte 124: expected a little-endian MATLAB 5",
    );
    let last = good.len() - 4;
    fails(
        &two(&[10, 0], false),
        &format!("at byte {}: expected a label of 1 to 10 in `y`, found 0", last + 1),
    );
    fails(
        &two(&[11, 1], true),
        "at byte 52 of the unpacked data: expected a label of 1 to 10 in `y`, found 11",
    );
    fails(&two(&[1], false), "at byte 192: expected unsigned bytes of shape [32, 32, 3, 1] in `X`");
    let mut damaged = packed.clone();
    damaged[400] ^= 0xff;
    fails(&damaged, "at byte ");
    let only_x = file(&[("X", &[32, 32, 3, 2], 2, &bytes(2))], false);
    fails(&only_x, "at byte 6336: expected an array `y`, found the end of the file");
    let no_labels = file(&[("X", &[32, 32, 3, 0], 2, &[]), ("y", &[0, 1], 2, &[])], false);
    fails(&no_labels, "at byte ");
}

#[test]
fn no_cut_and_no_change_of_a_byte_panics() {
    let (good, packed) = (two(&[10, 1], false), two(&[10, 1], true));
    for bytes in [&good, &packed] {
        for at in (100..260).chain(bytes.len() - 80..bytes.len()) {
            // A cut between two arrays is none.
            assert!(arrays(&bytes[..at]).map_or(0, |arrays| arrays.len()) < 2);
            for value in [0, 1, 15, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let _ = arrays(&changed);
            }
        }
    }
}

#[test]
fn a_check_looks_at_both_files() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("test_32x32.mat"), two(&[10, 1], true)).unwrap();
    let reports = check(&Name::Svhn.folders(dir.path()));
    assert!(matches!(reports[0].status, Status::Missing));
    assert!(
        reports[1].status.to_string().ends_with("a part of the published set: 2 of 26032 images"),
        "{}",
        reports[1].status
    );
    let error = load(&Name::Svhn.folders(dir.path())).unwrap_err();
    assert!(matches!(&error, Error::Missing { missing, .. } if missing == &["train_32x32.mat"]), "{error}");
}

#[test]
fn fuzz_mat_files() {
    let labels =
        |packed| file(&[("y", &[20_000, 1], 2, &[1; 20_000]), ("X", &[32, 32, 3], 2, &bytes(1))], packed);
    let zeros = file(&[("X", &[32, 32, 3, 100], 2, &[0; 100 * IMAGE])], true);
    // A label of one byte becomes one of four. The buffers of the file and of the unpacker have 64 and 48 KiB.
    fuzz("mat", 32, &[two(&[1, 10], false), labels(false)], 5, 1 << 17);
    // Deflate makes at most 1,032 bytes of one.
    fuzz("packed mat", 33, &[two(&[1, 10], true), labels(true), zeros], 5 * 1032, 1 << 17);
}

fn fuzz(name: &'static str, seed: u64, good: &[Vec<u8>], per_byte: usize, fixed: usize) {
    let mut mutator = crate::mutate::Mutator::new(seed);
    let mut bound = crate::allocations::Bound::new(name, per_byte, fixed);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("train_32x32.mat");
    let mut refused = 0;
    for _ in 0..crate::mutate::rounds() {
        let bytes = mutator.bytes(good);
        fs::write(&path, &bytes).unwrap();
        refused += u64::from(bound.hold(bytes.len(), || read(&path, "")).is_err());
    }
    assert!(refused > crate::mutate::rounds() / 10);
    println!("{bound}");
}
