use std::fs;

use tempfile::TempDir;

use super::layout::{CIFAR10, CIFAR100};
use super::*;
use crate::checksum::sha256_of_bytes;
use crate::testing::{pickle, tar_gz};

/// Red, green and blue plane of an image that no other has.
fn planes(image: usize) -> Vec<u8> {
    (0..IMAGE).map(|i| (i * 7 + i / PLANE * 50 + image * 31) as u8).collect()
}

/// A file of each layout of images `from..from + labels.len()`.
fn file(form: Form, from: usize, labels: &[u8]) -> Vec<u8> {
    let images = (from..).map(planes);
    match form {
        Form::Binary { label_bytes } => labels
            .iter()
            .zip(images)
            .flat_map(|(&label, planes)| [vec![99; label_bytes - 1], vec![label], planes].concat())
            .collect(),
        Form::Python { labels: key } => {
            let rows: Vec<u8> = images.take(labels.len()).flatten().collect();
            pickle(key, labels, &rows)
        }
    }
}

/// The files of a layout with two images each, labels counting up from 0.
fn files(layout: &Layout) -> Vec<(&'static str, Vec<u8>)> {
    let make = |(index, name)| (name, file(layout.form, 2 * index, &[2 * index as u8, 2 * index as u8 + 1]));
    layout.files().enumerate().map(make).collect()
}

fn write(folder: &Path, layout: &Layout) {
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files(layout) {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

fn load_from(name: Name, dir: &TempDir) -> Result<DataSet, Error> {
    load(name, &name.folders(dir.path()))
}

fn expect(set: &DataSet, train_files: usize) {
    let count = 2 * train_files;
    assert_eq!((set.train.len(), set.test.len()), (count, 2));
    assert_eq!(set.train.labels, (0..count as u32).collect::<Vec<_>>());
    assert_eq!(set.test.labels, [count as u32, count as u32 + 1]);
    for (images, first) in [(&set.train, 0), (&set.test, count)] {
        assert_eq!((images.height, images.width, images.channels), (32, 32, 3));
        for index in 0..images.len() {
            let (image, planes) = (images.image(index), planes(first + index));
            let pixel = |i: usize| [planes[i], planes[PLANE + i], planes[2 * PLANE + i]];
            assert!((0..PLANE).all(|i| image[3 * i..][..3] == pixel(i)), "image {index}");
        }
    }
}

#[test]
fn every_layout_is_read_from_folders_and_archives() {
    // The test images of CIFAR-10 would have labels 10 and 11: its last file is written anew with smaller ones.
    for (name, layouts) in [(Name::Cifar10, &CIFAR10), (Name::Cifar100, &CIFAR100)] {
        for layout in layouts {
            let mut files = files(layout);
            if name == Name::Cifar10 {
                files[5].1 = file(layout.form, 10, &[3, 4]);
            }
            for place in ["archive", "set/archive", "", "folder", "set/folder"] {
                let dir = TempDir::new().unwrap();
                let home = if place.starts_with("set/") {
                    dir.path().join(name.as_str())
                } else {
                    dir.path().into()
                };
                fs::create_dir_all(home.join(layout.folder)).unwrap();
                if place.ends_with("archive") {
                    // As published: other files too, and not in order.
                    let members: Vec<_> = files
                        .iter()
                        .rev()
                        .map(|(file, bytes)| (format!("{}/{file}", layout.folder), bytes))
                        .collect();
                    let mut members: Vec<(&str, &[u8])> =
                        members.iter().map(|(file, bytes)| (file.as_str(), bytes.as_slice())).collect();
                    // The published archives have their files in no order.
                    members.swap(0, layout.train.len());
                    members.reverse();
                    members.insert(1, ("readme.html", b"hello"));
                    fs::write(home.join(layout.archive.name), tar_gz(&members)).unwrap();
                } else {
                    let folder = if place.is_empty() { home } else { home.join(layout.folder) };
                    files.iter().for_each(|(file, bytes)| fs::write(folder.join(file), bytes).unwrap());
                }
                let mut set = load_from(name, &dir).unwrap();
                if name == Name::Cifar10 {
                    assert_eq!(set.test.labels, [3, 4]);
                    set.test.labels = vec![10, 11];
                }
                expect(&set, layout.train.len());
                let own = name == Name::Cifar100;
                assert_eq!((set.mean != set.test_mean, set.std != set.test_std), (own, own));
            }
        }
    }
}

#[test]
fn a_missing_batch_file_is_named() {
    let dir = TempDir::new().unwrap();
    let text = load_from(Name::Cifar10, &dir).unwrap_err().to_string();
    for word in ["data_batch_1.bin", "cifar-10-batches-py", "cifar-10-binary.tar.gz", "ht data fetch cifar10"]
    {
        assert!(text.contains(word), "no {word} in {text}");
    }
    let folder = dir.path().join("cifar-10-batches-bin");
    write(&folder, &CIFAR10[0]);
    fs::remove_file(folder.join("data_batch_3.bin")).unwrap();
    let error = load_from(Name::Cifar10, &dir).unwrap_err();
    let Error::Missing { missing, looked_in, .. } = &error else { panic!("{error}") };
    assert_eq!(
        (missing.as_slice(), looked_in.as_slice()),
        (["data_batch_3.bin"].as_slice(), [folder].as_slice())
    );

    let dir = TempDir::new().unwrap();
    let archive = tar_gz(&[("cifar-100-binary/train.bin", &file(CIFAR100[0].form, 0, &[1]))]);
    fs::write(dir.path().join("cifar-100-binary.tar.gz"), &archive).unwrap();
    let text = load_from(Name::Cifar100, &dir).unwrap_err().to_string();
    assert!(text.contains("expected the member cifar-100-binary/test.bin, found the end"), "{text}");
}

#[test]
fn names_in_capitals_are_read() {
    let expected = {
        let dir = TempDir::new().unwrap();
        write(dir.path(), &CIFAR100[0]);
        load_from(Name::Cifar100, &dir).unwrap()
    };
    for (folder, packed) in [("", false), ("CIFAR-100-BINARY", false), ("Cifar100", true)] {
        let dir = TempDir::new().unwrap();
        let at = dir.path().join(folder);
        fs::create_dir_all(&at).unwrap();
        if packed {
            let files = files(&CIFAR100[0]);
            let upper: Vec<String> =
                files.iter().map(|(name, _)| format!("x/{}", name.to_uppercase())).collect();
            let members: Vec<(&str, &[u8])> = upper
                .iter()
                .zip(&files)
                .map(|(name, (_, bytes))| (name.as_str(), bytes.as_slice()))
                .collect();
            fs::write(dir.path().join("CIFAR-100-Binary.TAR.GZ"), tar_gz(&members)).unwrap();
        } else {
            for (name, bytes) in files(&CIFAR100[0]) {
                fs::write(at.join(name.to_uppercase()), bytes).unwrap();
            }
        }
        assert_eq!(load_from(Name::Cifar100, &dir).unwrap(), expected, "{folder}");
        let reports = check(Name::Cifar100, &Name::Cifar100.folders(dir.path()));
        assert!(
            reports.iter().all(|report| matches!(report.status, Status::Part { .. })),
            "{folder}: {reports:?}"
        );
    }
}

#[test]
fn a_folder_of_another_name_is_named_and_read_where_it_is_given() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("photographs");
    write(&folder.join(CIFAR100[0].folder), &CIFAR100[0]);
    let text = load_from(Name::Cifar100, &dir).unwrap_err().to_string();
    let says =
        format!("if the files in {} are the set, give this folder as --data; or get it", folder.display());
    assert!(text.contains(&says), "{text}");
    assert_eq!(crate::check("cifar100", dir.path()).unwrap().not_read, std::slice::from_ref(&folder));
    assert_eq!(load(Name::Cifar100, &Name::Cifar100.folders(&folder)).unwrap().train.len(), 2);
    assert!(!load_from(Name::Cifar10, &dir).unwrap_err().to_string().contains("give this folder"));
}

/// The error that loading gives when one file of a good set has these bytes.
fn error_with(name: Name, layout: &Layout, file: &str, bytes: &[u8]) -> String {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join(layout.folder);
    write(&folder, layout);
    fs::write(folder.join(file), bytes).unwrap();
    let error = load_from(name, &dir).unwrap_err();
    assert!(matches!(error, Error::File(_)), "{error}");
    error.to_string().split_once(layout.folder).unwrap().1.to_owned()
}

#[test]
fn damaged_files_are_named_with_the_byte() {
    let good = file(CIFAR100[0].form, 0, &[5, 6]);
    let binary = |bytes: &[u8]| error_with(Name::Cifar100, &CIFAR100[0], "train.bin", bytes);
    let text = binary(&good[..6000]);
    assert!(
        text.starts_with("/train.bin: at byte 6000: the data end here; expected 6148 bytes in all"),
        "{text}"
    );
    let text = binary(&[good.as_slice(), &[1]].concat());
    assert!(text.starts_with("/train.bin: at byte 6149: the data end here; expected 9222 bytes"), "{text}");
    let text = binary(&file(CIFAR100[0].form, 0, &[5, 100]));
    assert!(text.starts_with("/train.bin: at byte 3075: expected a label below 100, found 100"), "{text}");
    assert!(text.contains("get it with `ht data fetch cifar100 --data "), "{text}");
    assert!(binary(&[]).starts_with("/train.bin: at byte 0: the file is empty"));
    let page = [b"<!DOCTYPE html>".as_slice(), &[0; 4000]].concat();
    assert!(binary(&page).contains("at byte 0: expected records of images, found a web page"));

    let python = |bytes: &[u8]| error_with(Name::Cifar10, &CIFAR10[1], "data_batch_2", bytes);
    let wrong = file(CIFAR10[1].form, 0, &[1, 10]);
    let at = wrong.windows(4).position(|window| window == [b'K', 1, b'K', 10]).unwrap() + 3;
    let text = python(&wrong);
    assert!(
        text.starts_with(&format!("/data_batch_2: at byte {at}: expected a label below 10, found 10")),
        "{text}"
    );
    let text = python(&wrong[..5000]);
    assert!(text.starts_with("/data_batch_2: at byte 5000: the data end here; expected "), "{text}");
}

#[test]
fn damaged_archives_are_named_with_the_byte() {
    let members = files(&CIFAR100[0]).into_iter().map(|(name, bytes)| (format!("x/{name}"), bytes));
    let members: Vec<_> = members.collect();
    let members: Vec<(&str, &[u8])> =
        members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let archive = tar_gz(&members);
    let fails = |bytes: &[u8], words: &str| {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("cifar-100-binary.tar.gz"), bytes).unwrap();
        let text = load_from(Name::Cifar100, &dir).unwrap_err().to_string();
        let text = text.split_once("cifar-100-binary.tar.gz: ").unwrap().1;
        assert!(text.contains(words) && text.contains("the archive is damaged or cut short"), "{text}");
    };
    let half = archive.len() / 2;
    fails(&archive[..half], &format!("at byte {half}: "));
    let mut flipped = archive.clone();
    flipped[archive.len() - 6] ^= 1;
    fails(&flipped, "corrupt gzip stream");
    let mut flipped = archive;
    flipped[half] ^= 0x55;
    fails(&flipped, "at byte ");
    fails(b"no gzip at all", "at byte ");
    let fails = |bytes: &[u8], words: &str| {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("cifar-100-binary.tar.gz"), bytes).unwrap();
        let text = load_from(Name::Cifar100, &dir).unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    };
    fails(b"<!DOCTYPE html>", "at byte 0: expected a .tar.gz archive, found a web page");
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(archive_of_100().as_slice()).read_to_end(&mut tar).unwrap();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("cifar-100-binary.tar.gz"), &tar).unwrap();
    expect(&load_from(Name::Cifar100, &dir).unwrap(), 1);
    fs::rename(dir.path().join("cifar-100-binary.tar.gz"), dir.path().join("cifar-100-binary.tar")).unwrap();
    expect(&load_from(Name::Cifar100, &dir).unwrap(), 1);
    tar[150] ^= 1;
    fails(&tar, "the header of a member is no header");
}

fn archive_of_100() -> Vec<u8> {
    let files = files(&CIFAR100[0]);
    let members: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    tar_gz(&members)
}

/// The unpacked files of CIFAR-100 and the archive of the same, in one folder.
fn folder_and_archive() -> (TempDir, std::path::PathBuf, std::path::PathBuf) {
    let dir = TempDir::new().unwrap();
    let (folder, archive) = (dir.path().join("cifar-100-binary"), dir.path().join("cifar-100-binary.tar.gz"));
    write(&folder, &CIFAR100[0]);
    fs::write(&archive, archive_of_100()).unwrap();
    (dir, folder, archive)
}

#[test]
fn an_archive_is_read_where_its_folder_is_not_whole() {
    let (dir, folder, archive) = folder_and_archive();
    fs::remove_file(folder.join("test.bin")).unwrap();
    let set = load_from(Name::Cifar100, &dir).unwrap();
    expect(&set, 1);
    let why = format!("without test.bin; {} is read instead", archive.display());
    assert_eq!(set.note, Some(format!("{} is {why}", folder.display())));
    let reports = check(Name::Cifar100, &Name::Cifar100.folders(dir.path()));
    let states: Vec<String> = reports.iter().map(|report| report.status.to_string()).collect();
    assert_eq!(states[0], format!("not used: {why}"));
    assert!(states[1].starts_with("ok, but a part"), "{states:?}");
}

#[test]
fn a_damaged_folder_beside_its_archive_is_to_be_removed() {
    let (dir, folder, archive) = folder_and_archive();
    let set = load_from(Name::Cifar100, &dir).unwrap();
    assert!(set.note.unwrap().contains(&format!("without its files, {} would", archive.display())));
    fs::write(folder.join("test.bin"), [1; 100]).unwrap();
    let advice = format!("; move it away, and {} is read instead", archive.display());
    let text = load_from(Name::Cifar100, &dir).unwrap_err().to_string();
    assert!(text.contains("test.bin: at byte 100") && text.ends_with(&advice), "{text}");
    let reports = check(Name::Cifar100, &Name::Cifar100.folders(dir.path()));
    let text = reports[1].status.to_string();
    assert!(text.starts_with("damaged") && text.ends_with(&advice), "{text}");
    // Without an archive, what is fetched is read only where the folder is no longer whole.
    fs::remove_file(archive).unwrap();
    let text = load_from(Name::Cifar100, &dir).unwrap_err().to_string();
    assert!(text.contains("; move it away, and get it with `ht data fetch"), "{text}");
    fs::remove_file(folder.join("test.bin")).unwrap();
    let text = load_from(Name::Cifar100, &dir).unwrap_err().to_string();
    assert!(text.contains("test.bin") && text.contains("; get it with `ht data fetch"), "{text}");
}

#[test]
fn a_check_counts_images() {
    let dir = TempDir::new().unwrap();
    let reports = check(Name::Cifar100, &Name::Cifar100.folders(dir.path()));
    assert!(matches!(reports.as_slice(), [FileReport { path: None, status: Status::Missing, .. }]));
    write(&dir.path().join("cifar-100-binary"), &CIFAR100[0]);
    let test = dir.path().join("cifar-100-binary/test.bin");
    fs::write(&test, file(CIFAR100[0].form, 0, &[7]).repeat(10_000)).unwrap();
    let reports = check(Name::Cifar100, &Name::Cifar100.folders(dir.path()));
    let texts: Vec<String> = reports.iter().map(|report| report.status.to_string()).collect();
    assert_eq!(texts[0], "ok, but a part of the published set: 2 of 50000 images");
    assert!(texts[1].starts_with("ok (unpacked"), "{texts:?}");
    fs::remove_file(test).unwrap();
    let reports = check(Name::Cifar100, &Name::Cifar100.folders(dir.path()));
    assert!(matches!(reports[1].status, Status::Missing));

    fs::remove_dir_all(dir.path().join("cifar-100-binary")).unwrap();
    fs::write(dir.path().join("cifar-100-python.tar.gz"), b"\x1f\x8b").unwrap();
    let reports = check(Name::Cifar100, &Name::Cifar100.folders(dir.path()));
    assert!(
        reports[0].status.to_string().starts_with("damaged at byte 2: the archive"),
        "{}",
        reports[0].status
    );
}

#[test]
fn other_images_than_those_of_cifar10_tell_another_set() {
    let images =
        |count| Images { labels: vec![3; count], pixels: Arc::new(vec![0; count * IMAGE]), ..no_images(10) };
    assert_eq!(verify(Name::Cifar10, 1, false, &images(10_000)), Some(false));
    assert_eq!(verify(Name::Cifar10, 0, false, &images(20)), None, "a part tells nothing");
    assert_eq!(verify(Name::Cifar100, 1, false, &images(10_000)), None, "its images are not known here");
    assert_eq!(verify(Name::Cifar10, 1, true, &images(10_000)), Some(true));
}

#[test]
fn the_content_of_a_file_is_labels_and_pixels_in_their_order() {
    let images = Images {
        labels: vec![1, 2, 3],
        pixels: Arc::new((0..3).flat_map(planes).collect()),
        ..no_images(10)
    };
    let parts: [&[u8]; 5] = [&[1], images.image(0), &[2], &[3], images.image(2)];
    assert_eq!(content(&images, 0..3, &[1]), sha256_of_bytes(&parts));
    assert_eq!(content(&images, 1..3, &[0]), sha256_of_bytes(&parts[2..]));
}
