use super::*;
use crate::testing::pickle;

fn read(bytes: &[u8]) -> Result<Batch<'_>, String> {
    super::read(Path::new("batch"), bytes, "labels", 3072).map_err(|error| error.to_string())
}

fn good() -> Vec<u8> {
    let rows: Vec<u8> = (0..2 * 3072).map(|i| (i % 251) as u8).collect();
    pickle("labels", &[4, 200], &rows)
}

#[test]
fn a_batch_is_read() {
    let bytes = good();
    let batch = read(&bytes).unwrap();
    assert_eq!(batch.labels.iter().map(|(label, _)| *label).collect::<Vec<_>>(), [4, 200]);
    assert!(batch.labels.iter().all(|&(label, at)| i64::from(bytes[at as usize]) == label));
    assert!(batch.rows.iter().enumerate().all(|(i, &byte)| byte == (i % 251) as u8));
}

#[test]
fn every_cut_is_an_error_at_the_end() {
    let bytes = good();
    for length in (0..400).chain(bytes.len() - 40..bytes.len()) {
        let error = read(&bytes[..length]).unwrap_err();
        let expected = if length == 0 { "expected a Python pickle" } else { "the data end here" };
        assert!(
            error.contains(expected) && error.contains(&format!("at byte {length}:")),
            "{length}: {error}"
        );
    }
}

#[test]
fn no_change_of_a_byte_panics() {
    let bytes = good();
    let start = bytes.len() - 2 * 3072 - 4;
    for at in (0..start).chain(bytes.len() - 4..bytes.len()) {
        for value in [0, 1, b'(', b'.', b'h', b'R', b't', 0x7f, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let _ = read(&changed);
        }
    }
}

#[test]
fn what_no_batch_has_is_refused_with_its_place() {
    for (bytes, words) in [
        (
            b"\x80\x02\x97.".as_slice(),
            "at byte 2: expected an operation as in the published files, found the operation 0x97",
        ),
        (b"\x80\x02}.", "expected the key `labels`"),
        (b"\x80\x02K\x01.", "expected a dictionary"),
        (b"\x80\x02\x86.", "at byte 2: expected a value on the stack"),
        (b"\x80\x02h\x05.", "at byte 2: expected a string or a name in the memo"),
        (b"\x80\x02]q\x01h\x01.", "at byte 5: expected a string or a name in the memo"),
        (b"\x80\x02\x8a\x09.", "at byte 2: expected integers of at most 4 bytes"),
        (b"\x80\x02T\xff\xff\xff\xff.", "at byte 8: the data end here"),
    ] {
        let error = read(bytes).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let nested = [b"\x80\x02".as_slice(), &vec![b']'; 100_000], &vec![b'a'; 99_999], b"."].concat();
    assert!(read(&nested).unwrap_err().contains("at most 64 lists"));
}

#[test]
fn an_array_of_another_shape_or_type_is_refused() {
    let bytes = good();
    let change = |from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        let changed = [&bytes[..at], to, &bytes[at + from.len()..]].concat();
        read(&changed).unwrap_err()
    };
    assert!(change(b"M\0\x0c\x86", b"M\0\x0b\x86").contains("expected an array of bytes as `data`"));
    assert!(change(b"u1", b"u2").contains("expected an array of bytes as `data`"));
    assert!(change(b"tb\x89", b"tb\x88").contains("expected an array of bytes as `data`"));
    assert!(change(b"_reconstruct", b"anything_else").contains("expected an array of bytes as `data`"));
    assert!(change(b"K\xc8", b"N").contains("expected integers in `labels`"));
    assert!(change(b"U\x06labels", b"U\x06lapels").contains("expected the key `labels`"));
}
