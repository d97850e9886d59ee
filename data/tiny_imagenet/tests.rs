use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::testing::zip;

mod layouts;

/// Written by `fixtures/jpeg.py`, as are the pixels that Pillow decodes.
const COLOUR: &[u8] = include_bytes!("../fixtures/colour.jpg");
const COLOUR_PIXELS: &[u8] = include_bytes!("../fixtures/colour.rgb");
const GREY: &[u8] = include_bytes!("../fixtures/grey.jpg");
const GREY_PIXELS: &[u8] = include_bytes!("../fixtures/grey.rgb");
const SMALL: &[u8] = include_bytes!("../fixtures/small.jpg");
const ANNOTATIONS: &str =
    "val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t0\t0\t63\t63\nval_2.JPEG\tn77\t0\t0\t1\t1\n";

/// Two classes of three and two training images, two test images, and what else there is.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (class, count) in [("n02", 2), ("n01", 3)] {
        for index in 0..count {
            let bytes = if index == 1 { GREY } else { COLOUR };
            files.push((format!("train/{class}/images/{class}_{index}.JPEG"), bytes.to_vec()));
        }
        files.push((format!("train/{class}/{class}_boxes.txt"), b"boxes".to_vec()));
    }
    for (index, bytes) in [COLOUR, GREY, GREY].into_iter().enumerate() {
        files.push((format!("val/images/val_{index}.JPEG"), bytes.to_vec()));
    }
    files.push(("val/val_annotations.txt".to_owned(), ANNOTATIONS.as_bytes().to_vec()));
    files.push(("wnids.txt".to_owned(), b"n02\nn01\n".to_vec()));
    files
}

fn write(root: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn archive(files: &[(String, Vec<u8>)], wide: bool) -> Vec<u8> {
    let named: Vec<_> = files.iter().map(|(name, bytes)| (format!("{FOLDER}/{name}"), bytes)).collect();
    let mut members: Vec<(&str, &[u8])> = vec![("tiny-imagenet-200/", b"")];
    members.extend(named.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    zip(&members, wide)
}

/// A folder with the set in it.
fn unpacked() -> TempDir {
    let dir = TempDir::new().unwrap();
    write(&dir.path().join(FOLDER), &files());
    dir
}

fn load_from(dir: &Path) -> Result<DataSet, Error> {
    load(&Name::TinyImagenet.folders(dir), 2)
}

/// What a failing load says.
fn failure(dir: &Path) -> String {
    let Err(error) = load_from(dir) else { panic!("the set is damaged") };
    error.to_string()
}

fn close(image: &[u8], expected: &[u8]) {
    let picked = (4..SIDE).step_by(8).flat_map(|y| (4..SIDE).step_by(8).map(move |x| (y * SIDE + x) * 3));
    let worst = picked.zip(expected.chunks(3)).flat_map(|(at, expected)| {
        image[at..at + 3].iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).collect::<Vec<_>>()
    });
    assert!(worst.max().unwrap() <= 3);
}

#[test]
fn folders_and_archives_give_the_same_images() {
    let expected = load_from(unpacked().path()).unwrap();
    assert_eq!(expected.train.labels, [0, 1, 0, 1, 0], "the classes come in turn");
    assert_eq!(expected.test.labels, [1, 0], "images of other classes are left out");
    assert_eq!((expected.train.classes, expected.train.image_len()), (2, IMAGE));
    for (index, pixels) in
        [COLOUR_PIXELS, COLOUR_PIXELS, GREY_PIXELS, GREY_PIXELS, COLOUR_PIXELS].iter().enumerate()
    {
        close(expected.train.image(index), pixels);
    }
    assert!(expected.train.image(2).chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    close(expected.test.image(1), GREY_PIXELS);
    for place in ["", "tiny-imagenet", "tiny-imagenet/tiny-imagenet-200"] {
        let dir = TempDir::new().unwrap();
        write(&dir.path().join(place), &files());
        assert_eq!(load_from(dir.path()).unwrap(), expected);
    }
    for wide in [false, true] {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(ZIP), archive(&files(), wide)).unwrap();
        assert_eq!(load_from(dir.path()).unwrap(), expected);
        assert!(dir.path().join("tiny-imagenet-200.cache").is_file());
    }
}

#[test]
fn the_cache_is_used_and_remade_when_stale_or_damaged() {
    let dir = unpacked();
    let first = load_from(dir.path()).unwrap();
    let path = dir.path().join("tiny-imagenet-200.cache");
    let cache = fs::read(&path).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
    // Pixels that no image has show whether it is used.
    let place = Place::folder(&[dir.path().to_path_buf()]).unwrap();
    let listing = Listing::new(&Source::open(&place).unwrap()).unwrap();
    let identity = cache::Identity { train: 5, test: 2, digest: listing.digest };
    cache::write(&path, &identity, &[vec![7; 5 * IMAGE], vec![8; 2 * IMAGE]]).unwrap();
    let cached = load_from(dir.path()).unwrap();
    assert!(
        cached.train.pixels.iter().all(|&byte| byte == 7) && cached.test.pixels.iter().all(|&byte| byte == 8)
    );
    assert_eq!(cached.train.labels, first.train.labels);
    // Other programs can read it too.
    let bytes = fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let test = file.tensor("test").unwrap();
    assert_eq!((test.shape(), test.data()), (&[2, SIDE, SIDE, 3][..], &vec![8; 2 * IMAGE][..]));

    let header = 8 + usize::from(u16::from_le_bytes([cache[0], cache[1]]));
    for damage in (0..header).step_by(7).chain([header - 1, header, cache.len() - 1]) {
        let mut damaged = cache.clone();
        damaged[damage] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert_eq!(load_from(dir.path()).unwrap(), first, "byte {damage}");
        assert!(fs::read(&path).unwrap() == cache, "byte {damage}");
    }
    fs::write(&path, &cache[..cache.len() - 1]).unwrap();
    assert_eq!(load_from(dir.path()).unwrap(), first);

    fs::write(dir.path().join(FOLDER).join("train/n01/images/n01_0.JPEG"), GREY).unwrap();
    close(load_from(dir.path()).unwrap().train.image(0), GREY_PIXELS);
    fs::remove_file(dir.path().join(FOLDER).join("train/n02/images/n02_1.JPEG")).unwrap();
    assert_eq!(load_from(dir.path()).unwrap().train.len(), 4);
}

#[test]
fn a_cache_that_cannot_be_written_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let identity = cache::Identity { train: 1, test: 0, digest: [0; 16] };
    let pixels = [vec![0; IMAGE], Vec::new()];
    fs::write(dir.path().join("file"), b"").unwrap();
    assert!(cache::write(&dir.path().join("file/cache"), &identity, &pixels).is_err());
    fs::create_dir(dir.path().join("taken.cache")).unwrap();
    assert!(cache::write(&dir.path().join("taken.cache"), &identity, &pixels).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

/// The error when one file of the set has these bytes, from the folder's name on; the same from an archive.
fn error_with(name: &str, bytes: &[u8]) -> String {
    let mut files = files();
    files.retain(|(file, _)| file != name);
    files.push((name.to_owned(), bytes.to_vec()));
    let (folder, packed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(&folder.path().join(FOLDER), &files);
    fs::write(packed.path().join(ZIP), archive(&files, false)).unwrap();
    let [plain, zipped] = [folder, packed].map(|dir| {
        let text = failure(dir.path());
        assert!(!dir.path().join("tiny-imagenet-200.cache").exists());
        text
    });
    assert!(zipped.contains(&format!("{ZIP}/{FOLDER}/{name}")), "{zipped}");
    let [plain, zipped] = [plain, zipped].map(|text| {
        let (text, advice) = text.split_once("; ").unwrap();
        assert!(advice.contains("get it with `ht data fetch tiny-imagenet --data "), "{advice}");
        text.rsplit_once(FOLDER).unwrap().1.to_owned()
    });
    assert_eq!(plain, zipped);
    plain
}

#[test]
fn a_corrupt_image_is_named() {
    let name = "train/n01/images/n01_2.JPEG";
    let fails = |bytes: &[u8], words: &str| {
        let text = error_with(name, bytes);
        assert!(text.starts_with(&format!("/{name}: {words}")), "{text}");
    };
    fails(&[], "at byte 0: the file is empty");
    fails(b"not an image", "at byte 0: expected a JPEG image, found 0x6e");
    fails(b"\x89PNG\r\n", "at byte 0: expected a JPEG image, found a PNG image");
    fails(&COLOUR[..100], "at byte 100: expected a marker of a JPEG image, found the end of the file");
    let cut = COLOUR.len() - 200;
    fails(&COLOUR[..cut], &format!("at byte {cut}: expected the marker that ends a JPEG image"));
    fails(SMALL, "at byte 0: expected an image of 64 x 64 pixels, found 32 x 32");
    // A table of codes with more codes than there can be.
    let mut damaged = COLOUR.to_vec();
    let table = damaged.windows(2).position(|pair| pair == [0xff, 0xc4]).unwrap();
    damaged[table + 5..table + 9].fill(0xff);
    let scan = COLOUR.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    fails(&damaged, &format!("at byte {scan}: cannot decode the image: "));
}

#[test]
fn annotations_are_checked() {
    let name = "val/val_annotations.txt";
    let text = error_with(name, b"val_0.JPEG\tn02\nval_9.JPEG\tn01\n");
    assert!(text.contains("at byte 15: expected the image val_9.JPEG in val/images"), "{text}");
    assert!(error_with(name, b"val_0.JPEG\tn02\nnonsense").contains("at byte 15: expected file and class"));
    assert!(error_with(name, b"").contains("at byte 0: expected test images of the classes in train"));
}

#[test]
fn what_is_missing_is_named() {
    let dir = TempDir::new().unwrap();
    let text = failure(dir.path());
    assert!(text.contains("tiny-imagenet-200.zip") && text.contains("ht data fetch tiny-imagenet"), "{text}");
    let root = dir.path().join(FOLDER);
    fs::create_dir_all(root.join("train")).unwrap();
    let text = failure(dir.path());
    assert!(
        text.contains("val: at byte 0: expected this folder, found none, as where unpacking was broken off"),
        "{text}"
    );
    fs::create_dir_all(root.join("val/images")).unwrap();
    let text = failure(dir.path());
    assert!(text.contains("expected images as train/CLASS/images/*.JPEG, found none"), "{text}");
    // Fetched beside it, the set would still be read from the folder.
    assert!(
        text.contains(&format!("; move {} away, and get it with `ht data fetch", root.display())),
        "{text}"
    );
    write(&root, &files());
    fs::remove_file(root.join("val/val_annotations.txt")).unwrap();
    let text = failure(dir.path());
    assert!(text.contains("val_annotations.txt: at byte 0: expected this file, found none"), "{text}");
}

#[test]
fn a_damaged_archive_is_named_with_the_byte() {
    let good = archive(&files(), false);
    let fails = |bytes: &[u8], words: &str| {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(ZIP), bytes).unwrap();
        let text = failure(dir.path());
        assert!(text.contains(&format!("{ZIP}: at byte ")) && text.contains(words), "{text}");
    };
    let half = good.len() / 2;
    fails(
        &good[..half],
        &format!("at byte {half}: the archive is damaged or cut short: there is no directory at its end"),
    );
    fails(&[], "there is no directory at its end");
    let mut flipped = good.clone();
    flipped[400] ^= 1;
    fails(&flipped, "n02_0.JPEG: ");
    fails(&good[100..], "the archive is damaged or cut short");
    fails(b"<html>", "at byte 0: expected a zip archive, found a web page");
    // The method of packing stands in each header, at these places.
    let mut packed = good.clone();
    for (start, at) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let headers: Vec<usize> = (0..good.len() - 4).filter(|&at| good[at..].starts_with(start)).collect();
        headers.into_iter().for_each(|header| packed[header + at..][..2].copy_from_slice(&[12, 0]));
    }
    fails(&packed, "the archive is packed in a way that is not read here: by bzip2; unpack it");
}

#[test]
fn no_change_of_a_directory_byte_panics() {
    let small: Vec<_> = files().into_iter().filter(|(name, _)| name.ends_with(".txt")).collect();
    for wide in [false, true] {
        let good = archive(&small, wide);
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(ZIP);
        for at in good.len() - 400..good.len() {
            for value in [0, 0x7f, 0xff] {
                let mut changed = good.clone();
                changed[at] = value;
                fs::write(&path, changed).unwrap();
                if let Ok(zip) = crate::zip::Zip::open(&path) {
                    zip.members.iter().for_each(|member| drop(zip.read(member, 1 << 20)));
                }
            }
        }
    }
}

#[test]
fn a_check_decodes_every_image() {
    let dir = unpacked();
    let check = || check(&Name::TinyImagenet.folders(dir.path()));
    let reports = check();
    assert_eq!(reports.len(), 1);
    assert_eq!(
        reports[0].status.to_string(),
        "ok, but a part of the published set: 2 of 200 classes, 5 training and 2 test images; 1 test images are left \
         out: `train` has no images of their classes, such as n77"
    );
    let root = dir.path().join(FOLDER);
    fs::write(root.join("train/n01/images/n01_2.JPEG"), &COLOUR[..300]).unwrap();
    fs::write(root.join("val/images/val_0.JPEG"), b"?").unwrap();
    let reports = check();
    let names: Vec<&str> = reports.iter().map(|report| report.file.as_str()).collect();
    assert_eq!(names, ["n01_2.JPEG", "val_0.JPEG"]);
    assert!(reports.iter().all(|report| matches!(report.status, Status::Damaged(_))));
    fs::write(root.join("val/val_annotations.txt"), b"x").unwrap();
    assert!(check()[0].status.to_string().contains("at byte 0: expected file and class"));
    fs::remove_dir_all(root).unwrap();
    assert!(matches!(check()[0].status, Status::Missing));
    fs::write(dir.path().join(ZIP), archive(&files(), false)).unwrap();
    assert!(matches!(check()[0].status, Status::Part { .. }));
}

/// Archives, listings and images with damage: in the archive, or in a file before it is packed.
#[test]
fn fuzz_archives_listings_and_images() {
    let mut mutator = crate::mutate::Mutator::new(33);
    let whole = [false, true].map(|wide| archive(&files(), wide));
    let (mut read, mut refused) = (0u64, 0u64);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(ZIP);
    for round in 0..crate::mutate::rounds() {
        let bytes = if round % 2 == 0 {
            mutator.bytes(&whole)
        } else {
            let mut files = files();
            let at = mutator.below(files.len());
            files[at].1 = mutator.bytes(&[files[at].1.clone()]);
            archive(&files, round % 4 == 1)
        };
        fs::write(&path, &bytes).unwrap();
        let opened = Source::open(&Place { path: path.clone(), zip: true, home: dir.path().into() });
        let listed = opened.and_then(|source| Listing::new(&source).map(|listing| (source, listing)));
        let outcome = listed.and_then(|(source, listing)| {
            let items = listing.train.iter().chain(&listing.test);
            items.map(|item| decode_one(&source, item, &mut vec![0; IMAGE])).collect::<Result<Vec<()>, _>>()
        });
        *if outcome.is_ok() { &mut read } else { &mut refused } += 1;
    }
    assert!(read.min(refused) > crate::mutate::rounds() / 20, "{read} read, {refused} refused");
}
