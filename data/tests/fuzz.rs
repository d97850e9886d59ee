//! Damaged files of every reader, as many as `HT_FUZZ` says: each is read or refused, none makes the program panic.

#[path = "../../tests/common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
#[path = "../../tests/common/mutate.rs"]
#[allow(dead_code, unreachable_pub)]
mod mutate;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::slice;

use allocations::Bound;
use data::{LoadOptions, load};
use flate2::Compression;
use flate2::write::GzEncoder;
use mutate::{Mutator, rounds};
use tempfile::TempDir;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes changed copies of `good` as `file`, beside the unchanged `others`, and loads the set each time.
fn fuzz(name: &str, file: &str, good: &[Vec<u8>], others: &[(&str, &[u8])], pack: bool, mut bound: Bound) {
    let dir = TempDir::new().unwrap();
    for (other, bytes) in others {
        fs::write(dir.path().join(other), bytes).unwrap();
    }
    let mut mutator = Mutator::new(11);
    let beside: usize = others.iter().map(|(_, bytes)| bytes.len()).sum();
    let read = || load(name, dir.path(), &LoadOptions::default());
    fs::write(dir.path().join(file), if pack { gzip(&good[0]) } else { good[0].clone() }).unwrap();
    read().unwrap();
    let mut refused = 0;
    for round in 0..rounds() {
        let bytes = mutator.bytes(good);
        // Half of the packed files are damaged before they are packed: then the inner format is.
        let bytes = if pack && round % 2 == 0 { gzip(&bytes) } else { bytes };
        fs::write(dir.path().join(file), &bytes).unwrap();
        match bound.hold(bytes.len() + beside, read) {
            Ok(set) => assert_eq!(set.train.pixels.len(), set.train.len() * set.train.image_len()),
            Err(error) => {
                assert!(error.to_string().contains(&Path::new(file).display().to_string()), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    println!("{bound}");
}

fn words(words: &[u32], rest: &[u8]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).chain(rest.iter().copied()).collect()
}

#[test]
fn fuzz_idx_files() {
    let (images, labels) = (words(&[0x803, 2, 28, 28], &[7; 1568]), words(&[0x801, 2], &[1, 2]));
    let others: [(&str, &[u8]); 3] = [
        ("train-labels-idx1-ubyte", &labels),
        ("t10k-images-idx3-ubyte", &images),
        ("t10k-labels-idx1-ubyte", &labels),
    ];
    let file = "train-images-idx3-ubyte";
    // The buffers of the file and of the unpacker have 64 and 48 KiB.
    fuzz("mnist", file, slice::from_ref(&images), &others, false, Bound::new("IDX", 1, 1 << 17));
    // Deflate makes at most 1,032 bytes of one.
    let zeros = gzip(&words(&[0x803, 500, 28, 28], &[0; 500 * 784]));
    fuzz("mnist", file, &[gzip(&images), zeros], &others, false, Bound::new("packed IDX", 1032, 1 << 17));
}

#[test]
fn fuzz_idx_labels() {
    let (images, labels) = (words(&[0x803, 2, 28, 28], &[7; 1568]), words(&[0x801, 2], &[1, 2]));
    let others: [(&str, &[u8]); 3] = [
        ("train-images-idx3-ubyte", &images),
        ("t10k-images-idx3-ubyte", &images),
        ("t10k-labels-idx1-ubyte", &labels),
    ];
    let many = words(&[0x801, 9_000], &[1; 9_000]);
    // A label of one byte becomes one of four.
    let bound = Bound::new("IDX labels", 5, 1 << 17);
    fuzz("mnist", "train-labels-idx1-ubyte", &[labels.clone(), many], &others, false, bound);
}

#[test]
fn fuzz_cifar_archives() {
    let mut builder = tar::Builder::new(Vec::new());
    for member in ["train.bin", "test.bin"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(3074);
        header.set_cksum();
        let path = format!("{}/{member}", "long-".repeat(30));
        builder.append_data(&mut header, path, [1_u8; 3074].as_slice()).unwrap();
    }
    let tar = builder.into_inner().unwrap();
    // Deflate makes at most 1,032 bytes of one. A long name grows by doubling, and pixels by what a header announces:
    // then they lie in memory three and two times over. The buffers of file, unpacker and names have 64, 48 and 128 KiB.
    let bound = Bound::new("CIFAR, tar", 4 * 1032, 1 << 18);
    fuzz("cifar100", "cifar-100-binary.tar.gz", &[tar], &[], true, bound);
}
