use super::*;
use crate::testing::pickle;

fn read(bytes: &[u8]) -> Result<Batch, String> {
    let mut reader = bytes;
    super::read(Path::new("batch"), &mut reader, bytes.len() as u64, "labels", 3072).map_err(|failure| {
        match failure {
            Failure::Content(error) => error.to_string(),
            Failure::Reading(error) => panic!("{error}"),
        }
    })
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
    let array = |from: &[u8], to: &[u8], found: &str| {
        let text = change(from, to);
        let expected = text.contains("expected an array of type u1 and shape [");
        assert!(expected && text.contains(found), "{text}");
    };
    array(b"M\0\x0c\x86", b"M\0\x0b\x86", "found an array of type u1 and shape [");
    array(b"u1", b"u2", "found an array of type u2 and shape [");
    array(b"tb\x89", b"tb\x88", "found an array of type u1 by columns and shape [");
    array(b"_reconstruct", b"anything_else", "found an object of another kind");
    assert!(change(b"K\xc8", b"N").contains("expected integers in `labels`"));
    assert!(change(b"U\x06labels", b"U\x06lapels").contains("expected the key `labels`"));
}

/// As Python 3 writes protocol 4 or 5 with NumPy: frames, names on the stack, labels as 64-bit NumPy integers, and since
/// protocol 5 the array as a buffer.
fn modern(buffer: bool, order: u8) -> Vec<u8> {
    let global = |module: &str, name: &str| {
        let text = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes(), b"\x94"].concat();
        [text(module), text(name), b"\x93\x94".to_vec()].concat()
    };
    let class = |name: &[u8], order: u8| {
        let arguments = [b"\x8c\x02", name, b"\x94\x89\x88\x87\x94R\x94"].concat();
        [
            global("numpy", "dtype"),
            arguments,
            vec![b'(', b'K', 3, 0x8c, 1, order],
            b"\x94NNNK\0K\0K\0t\x94b".to_vec(),
        ]
        .concat()
    };
    let mut pickle = b"\x80\x05\x95\0\0\0\0\0\0\0\0}\x94(\x8c\x06labels\x94]\x94(".to_vec();
    for label in [4i64, 200].into_iter().cycle().take(100) {
        pickle.extend(global("numpy._core.multiarray", "scalar"));
        pickle.extend(class(b"i8", order));
        pickle.extend([b"C\x08".as_slice(), &label.to_le_bytes(), b"\x94\x86\x94R\x94"].concat());
    }
    pickle.extend(b"e\x8c\x04data\x94");
    let rows = [&[0x96][..], &(100u64 * 3072).to_le_bytes(), &vec![7; 100 * 3072], b"\x94"].concat();
    let shape = b"Kd\x4d\0\x0c\x86\x94";
    if buffer {
        pickle.extend(global("numpy._core.numeric", "_frombuffer"));
        pickle
            .extend([b"(", rows.as_slice(), &class(b"u1", b'|'), shape, b"\x8c\x01C\x94t\x94R\x94"].concat());
    } else {
        pickle.extend(global("numpy._core.multiarray", "_reconstruct"));
        pickle.extend(
            [b")R\x94(K\x01", shape.as_slice(), &class(b"u1", b'|'), b"\x89", &rows, b"t\x94b"].concat(),
        );
    }
    pickle.extend(b"u.");
    pickle
}

#[test]
fn newer_protocols_and_numpy_integers_are_read() {
    for buffer in [false, true] {
        let bytes = modern(buffer, b'<');
        let batch = read(&bytes).unwrap();
        let labels: Vec<i64> = batch.labels.iter().map(|(label, _)| *label).collect();
        assert_eq!(labels, [4, 200].repeat(50));
        assert_eq!(batch.rows, vec![7; 100 * 3072]);
        assert!(read(&modern(buffer, b'>')).unwrap_err().contains("expected little-endian numbers"));
    }
}

/// As Python 3 writes protocol 2 with NumPy: bytes are text that `_codecs.encode` turns back.
fn text(labels: &[i64], rows: &[u8], encoding: &str) -> Vec<u8> {
    let bytes = |bytes: &[u8], memo: &[u8]| {
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        let length = (text.len() as u32).to_le_bytes();
        let name = [&(encoding.len() as u32).to_le_bytes(), encoding.as_bytes()].concat();
        [b"c_codecs\nencode\nX".as_slice(), &length, text.as_bytes(), memo, b"X", &name, b"\x86R"].concat()
    };
    let class = |name: &[u8], order: &[u8]| {
        let name = [b"cnumpy\ndtype\nX\x02\0\0\0", name, b"\x89\x88\x87R(K\x03X\x01\0\0\0", order].concat();
        [name.as_slice(), b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"].concat()
    };
    let mut pickle = b"\x80\x02}q\0(X\x06\0\0\0labelsq\x01]q\x02(".to_vec();
    for label in labels {
        pickle.extend(b"cnumpy.core.multiarray\nscalar\n");
        pickle
            .extend([class(b"i8", b"<"), bytes(&label.to_le_bytes(), b"q\x03"), b"\x86R".to_vec()].concat());
    }
    pickle.extend(b"eX\x04\0\0\0dataq\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85");
    pickle.extend([bytes(b"b", b"q\x05").as_slice(), b"\x87R(K\x01K"].concat());
    pickle.push(labels.len() as u8);
    pickle.extend(b"M\0\x0c\x86");
    pickle.extend([class(b"u1", b"|").as_slice(), b"\x89", &bytes(rows, b"q\x06"), b"tbu."].concat());
    pickle
}

#[test]
fn bytes_written_as_text_are_read() {
    let rows: Vec<u8> = (0..2 * 3072).map(|i| (i * 7 % 256) as u8).collect();
    let batch = read(&text(&[4, 200], &rows, "latin1")).unwrap();
    assert_eq!(batch.labels.iter().map(|(label, _)| *label).collect::<Vec<_>>(), [4, 200]);
    assert_eq!(batch.rows, rows);
    assert!(read(&text(&[4, 200], &rows, "cp1252")).is_err());
    // A third character that no byte stands for, and half a character.
    let mut bytes = text(&[4, 200], &rows, "latin1");
    let at = bytes.windows(4).rposition(|window| window == b"\xc3\xbf\0\x07").unwrap_or(bytes.len() - 40);
    bytes[at] = 0xc4;
    let error = read(&bytes).unwrap_err();
    assert!(error.contains("expected text of the characters 0 to 255"), "{error}");
}

#[test]
fn fuzz_pickles() {
    let mut mutator = crate::mutate::Mutator::new(31);
    let pixels: Vec<u8> = (0..3072).map(|i| (i * 7 % 256) as u8).collect();
    let (good, mut refused) = ([good(), text(&[7], &pixels, "latin1"), modern(true, b'<')], 0);
    for _ in 0..crate::mutate::rounds() {
        let bytes = mutator.bytes(&good);
        // What is read lies in the file: nothing was made up, and nothing grew.
        match read(&bytes) {
            Ok(batch) => assert!(batch.rows.len() <= bytes.len() && batch.labels.len() <= bytes.len()),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > crate::mutate::rounds() / 10);
}
