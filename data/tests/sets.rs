//! Loading and checking whole data sets, from outside the crate.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use data::error::FileProblem;
use data::{Error, Images, LoadOptions, Name, Origin, check, idx, list, load};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn images(count: usize) -> Images {
    Images {
        name: String::new(),
        height: 28,
        width: 28,
        channels: 1,
        classes: 10,
        pixels: Arc::new((0..count * 784).map(|i| (i % 256) as u8).collect()),
        labels: (0..count as u32).map(|i| i % 10).collect(),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A set of 25 training and 7 test images in `folder`: image files packed, label files not.
fn write_set(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (half, count) in [("train", 25), ("t10k", 7)] {
        let images = images(count);
        let packed = gzip(&idx::image_file(&images));
        fs::write(folder.join(format!("{half}-images-idx3-ubyte.gz")), packed).unwrap();
        fs::write(folder.join(format!("{half}-labels-idx1-ubyte")), idx::label_file(&images)).unwrap();
    }
}

fn load_from(name: &str, dir: &Path) -> Result<data::DataSet, Error> {
    load(name, dir, &LoadOptions::default())
}

#[test]
fn files_are_found_in_either_folder() {
    for folder in ["", "mnist"] {
        let dir = TempDir::new().unwrap();
        write_set(&dir.path().join(folder));
        let set = load_from("mnist", dir.path()).unwrap();
        assert_eq!((set.train.name.as_str(), set.test.name.as_str()), ("mnist train", "mnist test"));
        assert_eq!((set.train.len(), set.test.len()), (25, 7));
        assert_eq!((set.train.pixels, set.train.labels), (images(25).pixels, images(25).labels));
        assert_eq!((set.test.pixels, set.test.labels), (images(7).pixels, images(7).labels));
        assert_eq!((set.mean, set.std), (vec![0.1307], vec![0.3081]));
    }
    let dir = TempDir::new().unwrap();
    write_set(&dir.path().join("fashion-mnist"));
    let set = load_from("fashion-mnist", dir.path()).unwrap();
    assert_eq!((set.mean, set.std), (vec![0.2860], vec![0.3530]));
    assert!(matches!(load_from("mnist", dir.path()), Err(Error::Missing { .. })));
}

#[test]
fn a_set_says_whether_it_is_the_published_one() {
    let dir = TempDir::new().unwrap();
    write_set(dir.path());
    let other = Origin::Other(
        "25 of 60000 training images, which do not begin as the published ones do and 7 of 10000 test images, \
         which do not begin as the published ones do"
            .to_owned(),
    );
    assert_eq!(load_from("mnist", dir.path()).unwrap().origin, other);
    let write = |train: usize| {
        for (half, count) in [("train", train), ("t10k", 10_000)] {
            let images = images(count);
            let packed = gzip(&idx::image_file(&images));
            fs::write(dir.path().join(format!("{half}-images-idx3-ubyte.gz")), packed).unwrap();
            fs::write(dir.path().join(format!("{half}-labels-idx1-ubyte")), idx::label_file(&images))
                .unwrap();
        }
    };
    write(60_000);
    let set = load_from("mnist", dir.path()).unwrap();
    assert!(
        set.origin.to_string().starts_with("not the published images: as many training images"),
        "{}",
        set.origin
    );
    // The md5 of Fashion-MNIST's files is known only as they are packed.
    assert_eq!(load_from("fashion-mnist", dir.path()).unwrap().origin, Origin::Unverified);
    write(60_001);
    let set = load_from("mnist", dir.path()).unwrap();
    assert_eq!(
        set.origin,
        Origin::Other(
            "60001 training images where 60000 are published and as many test images, but other ones"
                .to_owned()
        )
    );
}

#[test]
fn what_other_programs_make_of_the_files_is_read() {
    let same = |dir: &TempDir| {
        let set = load_from("mnist", dir.path()).unwrap();
        assert_eq!((set.train.labels, set.test.labels), (images(25).labels, images(7).labels));
    };
    // The root of torchvision.
    let dir = TempDir::new().unwrap();
    write_set(&dir.path().join("MNIST/raw"));
    same(&dir);
    for folder in ["MNIST/MNIST/raw", "mnist/mnist/raw", "MNIST", "mnist/archive", "raw"] {
        let dir = TempDir::new().unwrap();
        write_set(&dir.path().join(folder));
        same(&dir);
    }
    // A dot before `idx`, and a folder of its own around a file.
    let dir = TempDir::new().unwrap();
    write_set(dir.path());
    let at = |name: &str| dir.path().join(name);
    fs::rename(at(FILES[1]), at("train-labels.idx1-ubyte")).unwrap();
    fs::rename(at("t10k-images-idx3-ubyte.gz"), at("t10k-images.idx3-ubyte.gz")).unwrap();
    fs::rename(at(FILES[3]), at("kept")).unwrap();
    fs::create_dir(at(FILES[3])).unwrap();
    fs::rename(at("kept"), at(FILES[3]).join(FILES[3])).unwrap();
    same(&dir);
    // Several gzip streams in one file.
    let bytes = idx::image_file(&images(25));
    let members: Vec<u8> = bytes.chunks(1000).flat_map(gzip).collect();
    fs::write(at("train-images-idx3-ubyte.gz"), members).unwrap();
    same(&dir);
    // Capitals.
    for name in ["train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte", FILES[3]] {
        fs::rename(at(name), at(&name.to_uppercase())).unwrap();
    }
    same(&dir);
}

#[test]
fn missing_files_are_listed_with_the_folders_and_the_remedy() {
    let dir = TempDir::new().unwrap();
    write_set(dir.path());
    fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
    fs::remove_file(dir.path().join("train-images-idx3-ubyte.gz")).unwrap();
    let error = load_from("mnist", dir.path()).unwrap_err();
    let Error::Missing { missing, looked_in, .. } = &error else { panic!("{error}") };
    assert_eq!(missing, &["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]);
    assert_eq!(looked_in, &[dir.path().join("mnist"), dir.path().to_path_buf()]);
    let advice = format!("get it with `ht data fetch mnist --data {}`", dir.path().display());
    assert!(error.to_string().ends_with(&advice), "{error}");
    fs::write(dir.path().join("mnist.npz"), b"PK").unwrap();
    fs::write(dir.path().join("cifar-10-python.tar.gz"), b"").unwrap();
    let text = load_from("mnist", dir.path()).unwrap_err().to_string();
    let path = dir.path().join("mnist.npz");
    assert!(text.contains(&format!("; {} cannot be used)", path.display())), "{text}");
    assert_eq!(check("mnist", dir.path()).unwrap().not_read, [path]);
    let error = load_from("fashion-mnist", &dir.path().join("nowhere")).unwrap_err();
    assert!(matches!(&error, Error::Missing { missing, .. } if missing == &FILES), "{error}");
}

#[test]
fn damage_names_the_file_the_byte_and_the_remedy() {
    let dir = TempDir::new().unwrap();
    write_set(dir.path());
    let path = dir.path().join("train-labels-idx1-ubyte");
    let mut bytes = fs::read(&path).unwrap();
    bytes[11] = 77;
    fs::write(&path, bytes).unwrap();
    let text = load_from("mnist", dir.path()).unwrap_err().to_string();
    let expected = format!(
        "train-labels-idx1-ubyte: at byte 11: expected a label below 10, found 77; get it with \
         `ht data fetch mnist --data {}`",
        dir.path().display()
    );
    assert!(text.ends_with(&expected), "{text}");
}

#[test]
fn a_damaged_file_beside_another_copy_is_to_be_removed() {
    let dir = TempDir::new().unwrap();
    write_set(dir.path());
    let packed = dir.path().join("t10k-labels-idx1-ubyte.gz");
    fs::write(&packed, b"\x1f\x8b").unwrap();
    let advice = format!("; move it away, and {} is read instead", dir.path().join(FILES[3]).display());
    let text = load_from("mnist", dir.path()).unwrap_err().to_string();
    assert!(text.ends_with(&advice), "{text}");
    let state = check("mnist", dir.path()).unwrap().files[3].status.to_string();
    assert!(state.starts_with("damaged at byte 2") && state.ends_with(&advice), "{state}");
    fs::remove_file(packed).unwrap();
    load_from("mnist", dir.path()).unwrap();
}

#[test]
fn images_and_labels_must_belong_together() {
    let dir = TempDir::new().unwrap();
    write_set(dir.path());
    fs::write(dir.path().join("t10k-labels-idx1-ubyte"), idx::label_file(&images(8))).unwrap();
    let error = load_from("mnist", dir.path()).unwrap_err();
    let Error::File(file) = &error else { panic!("{error}") };
    assert!(matches!(file.problem, FileProblem::Count { images: 7, labels: 8, .. }), "{error}");
    let report = check("mnist", dir.path()).unwrap();
    assert!(!report.is_ok(), "what a run refuses is not ok");
    let state = report.files[3].status.to_string();
    assert!(state.starts_with("not usable: it holds 8 labels, but "), "{state}");
}

#[test]
fn images_of_another_size_are_refused() {
    let dir = TempDir::new().unwrap();
    write_set(dir.path());
    let square = Images { height: 14, width: 56, ..images(25) };
    fs::write(dir.path().join("train-images-idx3-ubyte.gz"), idx::image_file(&square)).unwrap();
    let error = load_from("mnist", dir.path()).unwrap_err();
    let Error::File(file) = &error else { panic!("{error}") };
    assert!(matches!(file.problem, FileProblem::Dimension { what: "rows", found: 14, .. }), "{error}");
}

#[test]
fn an_unknown_name_gets_a_suggestion() {
    let nearest = |name: &str| match name.parse::<Name>() {
        Err(Error::UnknownName { nearest, known, .. }) => {
            assert_eq!(known, Name::ALL.map(Name::as_str));
            nearest
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(nearest("MNIST"), Some("mnist"));
    assert_eq!(nearest("fashionmnist"), Some("fashion-mnist"));
    assert_eq!(nearest("stroke"), Some("strokes"));
    assert_eq!(nearest("tinyimagenet"), Some("tiny-imagenet"));
    assert_eq!(nearest("cifar-10"), Some("cifar10"));
    assert_eq!(nearest("voc"), None);
    let text = "minst".parse::<Name>().unwrap_err().to_string();
    assert_eq!(
        text,
        "unknown data set `minst` (did you mean `mnist`?); known are: mnist, fashion-mnist, cifar10, \
         cifar100, svhn, tiny-imagenet, strokes, scenes"
    );
    for name in Name::ALL {
        assert_eq!(name.to_string().parse::<Name>().unwrap(), name);
    }
}

#[test]
fn a_check_tells_the_state_of_each_file() {
    let dir = TempDir::new().unwrap();
    let images_60k = images(60_000);
    fs::write(dir.path().join("train-images-idx3-ubyte.gz"), gzip(&idx::image_file(&images(3)))).unwrap();
    fs::write(dir.path().join("train-labels-idx1-ubyte"), idx::label_file(&images_60k)).unwrap();
    fs::write(dir.path().join("t10k-images-idx3-ubyte.gz"), b"\x1f\x8b").unwrap();
    let report = check("mnist", dir.path()).unwrap();
    assert!(!report.is_ok());
    let states: Vec<String> = report.files.iter().map(|file| file.status.to_string()).collect();
    assert_eq!(
        states[0],
        "ok, but not the published file: 3 of 60000 images, which do not begin as the published ones do"
    );
    let state = &states[1];
    assert!(
        state.starts_with("not usable: it holds 60000 labels, but ") && state.contains(" holds 3 images"),
        "{state}"
    );
    assert!(states[2].starts_with("damaged at byte 2: the gzip stream breaks off"), "{}", states[2]);
    assert_eq!(states[3], "missing");
    assert_eq!(report.files[3].path, None);

    fs::write(dir.path().join("train-labels-idx1-ubyte"), idx::label_file(&images(59_999))).unwrap();
    let report = check("mnist", dir.path()).unwrap();
    assert!(report.files[1].status.to_string().contains("59999 labels"));
    fs::remove_file(dir.path().join("train-images-idx3-ubyte.gz")).unwrap();
    let report = check("mnist", dir.path()).unwrap();
    let state = report.files[1].status.to_string();
    assert_eq!(state, "ok, but a part of the published set: 59999 of 60000 labels");
    fs::write(dir.path().join("train-labels-idx1-ubyte"), idx::label_file(&images_60k)).unwrap();
    let state = check("mnist", dir.path()).unwrap().files[1].status.to_string();
    assert_eq!(state, "ok, but not the published file: as many labels, but other ones");
    assert!(check("strokes", dir.path()).unwrap().is_ok());
    assert!(matches!(check("nothing", dir.path()), Err(Error::UnknownName { .. })));
}

#[test]
fn the_list_describes_every_set() {
    let all = list();
    assert_eq!(all.iter().map(|set| set.name).collect::<Vec<_>>(), Name::ALL);
    for set in &all {
        assert_eq!(set.files, set.name.files().len());
        assert_eq!(set.bytes > 0, set.files > 0);
        assert_eq!(set.files == 0, set.name.is_built_in());
    }
    assert_eq!((all[0].shape, all[0].classes), ([28, 28, 1], 10));
    assert_eq!((all[5].shape, all[5].classes), ([64, 64, 3], 200));
    assert_eq!((all[0].train, all[0].test, all[0].bytes), (60_000, 10_000, 11_594_722));
    let options = LoadOptions { train: 30, test: 20, ..LoadOptions::default() };
    for description in all.iter().filter(|set| set.name.is_built_in()) {
        let set = load(description.name.as_str(), Path::new("/nowhere"), &options).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (30, 20));
        assert_eq!(set.train.pixels.len(), 30 * set.train.image_len());
        let shape = [set.train.height, set.train.width, set.train.channels];
        assert_eq!((shape, set.train.classes), (description.shape, description.classes));
        let statistics = [&set.mean, &set.std, &set.test_mean, &set.test_std];
        assert!(statistics.iter().all(|values| values.len() == set.train.channels));
    }
    let side = LoadOptions { side: Some(32), ..options };
    let error = load("strokes", Path::new("/nowhere"), &side).unwrap_err();
    assert_eq!(error.to_string(), "side = 32: strokes can be drawn with 28 x 28");
}

#[test]
fn other_kinds_of_files_are_named_in_words() {
    let fails = |bytes: &[u8], words: &str| {
        let dir = TempDir::new().unwrap();
        write_set(dir.path());
        fs::write(dir.path().join("t10k-images-idx3-ubyte.gz"), bytes).unwrap();
        let text = load_from("mnist", dir.path()).unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    };
    fails(b"<!DOCTYPE html><html>", "expected an IDX file, found a web page");
    fails(&gzip(b"<html></html>"), "at byte 0 of the unpacked data: expected an IDX file, found a web page");
    fails(b"version https://git-lfs.github.com/spec/v1", "found a pointer of Git LFS");
    fails(b"\xfd7zXZ\0\0", "found a file packed by xz");
    fails(b"PK\x03\x04\x14\0", "found a zip archive");
    fails(b"\x01\x02\x03\x04", "found 0x01020304 (not IDX bytes");
}
