//! What the tests make their files with: archives, pickles and MATLAB files as small as can be.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

/// A `.tar.gz` of regular files.
pub(crate) fn tar_gz(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in members {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[156] = b'0';
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend(header);
        tar.extend(*bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar).unwrap();
    encoder.finish().unwrap()
}

/// A `.zip`: every second member stored, the others deflated; with `wide`, places and counts as in an archive of more
/// than 65,535 members.
pub(crate) fn zip(members: &[(&str, &[u8])], wide: bool) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (index, (name, bytes)) in members.iter().enumerate() {
        let (method, packed) = if index % 2 == 0 {
            (0u16, bytes.to_vec())
        } else {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            (8, encoder.finish().unwrap())
        };
        let offset = zip.len();
        // From the method on, both headers begin alike: method, time, checksum, lengths, length of the name.
        let mut common = method.to_le_bytes().to_vec();
        common.extend([0; 4]);
        for word in [crc32fast::hash(bytes), packed.len() as u32, bytes.len() as u32] {
            common.extend(word.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        zip.extend([b"PK\x03\x04\x14\0\0\0".as_slice(), &common, &[0, 0], name.as_bytes(), &packed].concat());
        directory.extend([b"PK\x01\x02\x14\0\x14\0\0\0".as_slice(), &common].concat());
        let extra = if wide { 12u16 } else { 0 };
        directory.extend(extra.to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(if wide { u32::MAX } else { offset as u32 }.to_le_bytes());
        directory.extend(name.as_bytes());
        if wide {
            directory.extend([1, 0, 8, 0]);
            directory.extend((offset as u64).to_le_bytes());
        }
    }
    let (count, start, size) = (members.len() as u64, zip.len() as u64, directory.len() as u64);
    zip.extend(directory);
    if wide {
        let end = zip.len() as u64;
        zip.extend([b"PK\x06\x06".as_slice(), &44u64.to_le_bytes(), &[0; 12]].concat());
        for number in [count, count, size, start] {
            zip.extend(number.to_le_bytes());
        }
        zip.extend([b"PK\x06\x07\0\0\0\0".as_slice(), &end.to_le_bytes(), &1u32.to_le_bytes()].concat());
    }
    let count = if wide { u16::MAX } else { count as u16 }.to_le_bytes();
    zip.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count].concat());
    for number in [size, start] {
        zip.extend(if wide { u32::MAX } else { number as u32 }.to_le_bytes());
    }
    zip.extend([0, 0]);
    zip
}

/// A pickle as Python 2 wrote them for CIFAR: `{"batch_label": .., key: labels, "data": rows}`.
pub(crate) fn pickle(key: &str, labels: &[u8], rows: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x06a testq\x03".to_vec();
    pickle.extend([b'U', key.len() as u8]);
    pickle.extend(key.as_bytes());
    pickle.extend(b"q\x04]q\x05(");
    pickle.extend(labels.iter().flat_map(|&label| [b'K', label]));
    pickle.extend(b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\0\x85U\x01b\x87Rq\x09(K\x01M");
    pickle.extend((labels.len() as u16).to_le_bytes());
    pickle.extend(b"M\0\x0c\x86cnumpy\ndtype\nq\nU\x02u1K\0K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T");
    pickle.extend((rows.len() as u32).to_le_bytes());
    pickle.extend(rows);
    pickle.extend(b"tbu.");
    pickle
}

/// A MATLAB 5 file of arrays: name, shape, kind of storage, values.
pub(crate) fn mat(arrays: &[(&str, &[u32], u32, &[u8])], packed: bool) -> Vec<u8> {
    let element = |kind: u32, bytes: &[u8]| {
        let mut element = if bytes.len() <= 4 {
            ((bytes.len() as u32) << 16 | kind).to_le_bytes().to_vec()
        } else {
            [kind.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat()
        };
        element.extend(bytes);
        element.resize(element.len().next_multiple_of(8), 0);
        element
    };
    let mut file = b"MATLAB 5.0 MAT-file".to_vec();
    file.resize(124, b' ');
    file.extend([0, 1, b'I', b'M']);
    for (name, shape, kind, bytes) in arrays {
        let shape: Vec<u8> = shape.iter().flat_map(|size| size.to_le_bytes()).collect();
        let flags = element(6, &[9, 0, 0, 0, 0, 0, 0, 0]);
        let parts = [flags, element(5, &shape), element(1, name.as_bytes()), element(*kind, bytes)].concat();
        let array = [14u32.to_le_bytes().as_slice(), &(parts.len() as u32).to_le_bytes(), &parts].concat();
        if packed {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&array).unwrap();
            let bytes = encoder.finish().unwrap();
            file.extend([15u32.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat());
            file.extend(bytes);
        } else {
            file.extend(array);
        }
    }
    file
}
