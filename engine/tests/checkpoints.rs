//! Safetensors files of any origin: what is converted, what is refused, and that no bytes at all make the reader panic.
//!
//! `HT_FUZZ=200000 cargo test -p engine --test checkpoints` tries that many damaged files; a failure names its number,
//! which gives the same file again.

#[path = "../../tests/common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
#[path = "../../tests/common/mutate.rs"]
#[allow(dead_code, unreachable_pub)]
mod mutate;

use allocations::Bound;
use approx::abs_diff_eq;
use engine::checkpoint::{File, Stored, StoredValues};
use mutate::{Mutator, rounds};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::path::Path;

/// A file with this header and this many bytes of data, counted up from 0.
fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A file with one tensor, `a`.
fn one(dtype: &str, length: usize, data: &[u8]) -> Vec<u8> {
    let bytes = data.len();
    with_header(
        &format!(r#"{{"a":{{"dtype":"{dtype}","shape":[{length}],"data_offsets":[0,{bytes}]}}}}"#),
        data,
    )
}

fn values(bytes: &[u8]) -> StoredValues {
    File::from_bytes(bytes).unwrap().tensors["a"].values.clone()
}

#[test]
fn floats_of_every_width_become_f32_and_a_note_says_so() {
    for (dtype, kind, data) in [
        ("F64", "f64", [1.5f64.to_le_bytes(), (-0.1f64).to_le_bytes()].concat()),
        ("F16", "f16", vec![0x00, 0x3e, 0x66, 0xae]),
        ("BF16", "bf16", vec![0xc0, 0x3f, 0xcd, 0xbd]),
    ] {
        let file = File::from_bytes(&one(dtype, 2, &data)).unwrap();
        let StoredValues::F32(values) = &file.tensors["a"].values else { panic!("{dtype} is floats") };
        assert!(values[0] == 1.5 && abs_diff_eq!(values[1], -0.1, epsilon = 3e-4), "{dtype}: {values:?}");
        assert_eq!(file.notes, [format!("1 tensor is {kind} and taken as f32: a")]);
    }
    assert!(File::from_bytes(&one("F32", 1, &[0; 4])).unwrap().notes.is_empty());
}

#[test]
fn integers_of_every_width_are_integers_and_other_types_are_named() {
    for (dtype, data) in [
        ("U8", &[7u8][..]),
        ("I8", &[7]),
        ("U16", &[7, 0]),
        ("I16", &[7, 0]),
        ("U32", &[7, 0, 0, 0]),
        ("I32", &[7, 0, 0, 0]),
        ("U64", &[7, 0, 0, 0, 0, 0, 0, 0]),
        ("I64", &[7, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        assert_eq!(values(&one(dtype, 1, data)), StoredValues::Integers(vec![7]), "{dtype}");
    }
    assert_eq!(values(&one("I8", 1, &[255])), StoredValues::Integers(vec![-1]));
    let file = File::from_bytes(&one("BOOL", 1, &[1])).unwrap();
    assert!(file.tensors.is_empty());
    assert_eq!(file.others["a"], "bool");
}

#[test]
fn what_cannot_be_read_is_named() {
    let two = |second: &str, from: usize, data: usize| {
        let entry = |name: &str, from: usize| {
            format!(r#""{name}":{{"dtype":"U8","shape":[4],"data_offsets":[{from},{}]}}"#, from + 4)
        };
        with_header(&format!("{{{},{}}}", entry("a", 0), entry(second, from)), &vec![0; data])
    };
    for (bytes, named) in [
        (Vec::new(), "empty"),
        (b"PK\x03\x04rest".to_vec(), "torch.save"),
        (b"\x80\x02}q\x00X\x0c\x00\x00\x00head".to_vec(), "pickle"),
        (b"\n<!DOCTYPE html><html>Not Found</html>".to_vec(), "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "Git LFS"),
        (vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0], "gzip"),
        (b"something else entirely".to_vec(), "the length of a header"),
        (two("a", 4, 8), "names 'a' twice"),
        (two("b", 4, 7), "not a whole safetensors file"),
        (two("b", 4, 8)[..40].to_vec(), "not a whole safetensors file"),
        (two("b", 4, 9), "1 bytes follow"),
        (two("b", 5, 9), "tensor 'b' lies at bytes 5 to 9"),
        (one("F64", 1, &1e300f64.to_le_bytes()), "'a' is 1e300 at index 0"),
        (one("U64", 1, &[255; 8]), "'a' is 18446744073709551615 at index 0"),
    ] {
        let error = File::from_bytes(&bytes).unwrap_err();
        assert!(error.contains(named), "'{named}' is not in: {error}");
        assert_eq!(File::from_bytes(&bytes).unwrap_err(), error, "the same message every time");
    }
}

#[test]
fn a_header_of_any_length_is_no_other_format() {
    // Little endian, 0x280 begins as a pickle does and 0x8b1f as what gzip writes.
    for length in [0x280, 0x8b1f] {
        let bytes = with_header(&format!("{{{}}}", " ".repeat(length - 2)), &[]);
        assert_eq!(File::from_bytes(&bytes).unwrap(), File::default(), "{length}");
    }
}

#[test]
fn names_lose_the_words_of_wrappers() {
    let mut file = File::default();
    for name in ["module.head.fc.weight", "_orig_mod.module.a", "backbone._orig_mod.fc1.weight", "b"] {
        file.insert(name, &[1], vec![1.0]);
    }
    let path = Path::new("weights");
    let plain = file.clone().without_wrappers(path).unwrap();
    let names: Vec<_> = plain.tensors.keys().map(String::as_str).collect();
    assert_eq!(names, ["a", "b", "backbone.fc1.weight", "head.fc.weight"]);
    assert!(plain.notes.len() == 1 && plain.notes[0].contains("3 tensors"), "{:?}", plain.notes);
    assert_eq!(plain.clone().without_wrappers(path).unwrap(), plain);
    file.insert("module.b", &[1], vec![1.0]);
    let error = file.without_wrappers(path).unwrap_err().to_string();
    assert!(error.contains("weights") && error.contains("'b'"), "{error}");
}

#[test]
fn the_first_number_that_is_not_finite_has_an_index_per_axis() {
    let mut values = vec![0.0; 24];
    let tensor = |values: &[f32]| Stored { shape: vec![2, 3, 4], values: StoredValues::F32(values.to_vec()) };
    assert_eq!(tensor(&values).first_non_finite(), None);
    (values[23], values[17]) = (f32::NAN, f32::NEG_INFINITY);
    assert_eq!(tensor(&values).first_non_finite(), Some((vec![1, 1, 1], f32::NEG_INFINITY)));
}

/// A file with tensors of several kinds and a state.
fn example(random: &mut Pcg64Mcg) -> Vec<u8> {
    let kinds = [("F32", 4), ("F64", 8), ("F16", 2), ("BF16", 2), ("U8", 1), ("I64", 8), ("BOOL", 1)];
    let (mut entries, mut end) = (vec![r#""__metadata__":{"state":"{}"}"#.to_string()], 0);
    for index in 0..random.random_range(0..6) {
        let (dtype, size) = kinds[random.random_range(0..kinds.len())];
        let (rows, columns) = (random.random_range(0..4), random.random_range(1..5));
        let from = end;
        end += rows * columns * size;
        entries.push(format!(
            r#""t{index}":{{"dtype":"{dtype}","shape":[{rows},{columns}],"data_offsets":[{from},{end}]}}"#
        ));
    }
    let data: Vec<u8> = (0..end).map(|_| random.random()).collect();
    with_header(&format!("{{{}}}", entries.join(",")), &data)
}

#[test]
fn fuzz_damaged_files_are_errors_and_take_no_more_memory_than_their_size_allows() {
    let tries = rounds();
    let (mut read, mut refused) = (0, 0);
    let ones = vec!["1"; 2_000].join(",");
    let header = format!(r#"{{"a":{{"dtype":"U8","shape":[{ones}],"data_offsets":[0,1]}}}}"#);
    let dense = with_header(&header, &[1]);
    // A byte becomes a number of eight; a list in the header grows by doubling, of two bytes for a number, while the one
    // before it is still there, and the header is there as text and as entries.
    let mut bound = Bound::new("safetensors", 4 * 8, 1 << 14);
    for number in 0..tries {
        let mut random = Pcg64Mcg::seed_from_u64(number);
        let mut bytes = if number % 16 == 1 { dense.clone() } else { example(&mut random) };
        if number % 8 > 0 {
            bytes = Mutator::new(number).bytes(&[bytes]);
        }
        let read_it = || std::panic::catch_unwind(|| File::from_bytes(&bytes));
        let outcome = bound.hold(bytes.len(), read_it);
        match outcome.unwrap_or_else(|_| panic!("file {number} makes the reader panic")) {
            Ok(_) => read += 1,
            Err(message) => {
                assert!(!message.is_empty() && message.len() < 4_000, "file {number}: {message}");
                refused += 1;
            }
        }
    }
    assert!(read > tries / 20 && refused > tries / 20, "{read} files were read, {refused} refused");
    println!("{bound}");
}
