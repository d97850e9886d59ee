//! What tutorials, editors and other programs make of the set.

use super::*;
use crate::testing::zip;

/// The set with its test images moved to where `sorted` says, given class and file.
fn sorted(with: impl Fn(&str, &str) -> String) -> Vec<(String, Vec<u8>)> {
    let mut files = files();
    let classes = ["n02", "n01", "n77"];
    files.retain(|(name, _)| name != "val/val_annotations.txt");
    for (name, _) in &mut files {
        if let Some(file) = name.strip_prefix("val/images/") {
            let index: usize = file["val_".len()..].split('.').next().unwrap().parse().unwrap();
            *name = with(classes[index], file);
        }
    }
    files
}

fn in_folder(files: &[(String, Vec<u8>)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    write(&dir.path().join(FOLDER), files);
    dir
}

#[test]
fn test_images_may_lie_in_folders_of_their_classes() {
    let expected = load_from(unpacked().path()).unwrap();
    for between in ["", "images/"] {
        let files = sorted(|class, file| format!("val/{class}/{between}{file}"));
        let dir = in_folder(&files);
        // The script that sorts them may leave the empty folder, the annotations, and text files.
        fs::create_dir_all(dir.path().join(FOLDER).join("val/images")).unwrap();
        assert_eq!(load_from(dir.path()).unwrap(), expected);
        write(&dir.path().join(FOLDER), &[("val/val_annotations.txt".to_owned(), ANNOTATIONS.into())]);
        write(&dir.path().join(FOLDER), &[("val/n01/boxes.txt".to_owned(), b"boxes".to_vec())]);
        assert_eq!(load_from(dir.path()).unwrap(), expected);
        let packed = TempDir::new().unwrap();
        fs::write(packed.path().join(ZIP), archive(&files, false)).unwrap();
        assert_eq!(load_from(packed.path()).unwrap(), expected);
    }
    let dir = in_folder(&sorted(|_, file| format!("val/n77/{file}")));
    let text = failure(dir.path());
    assert!(
        text.contains("val: at byte 0: expected test images of the classes in train, found none"),
        "{text}"
    );
}

#[test]
fn test_images_may_lie_beside_their_annotations() {
    let expected = load_from(unpacked().path()).unwrap();
    let mut files = files();
    for (name, _) in &mut files {
        *name = name.replace("val/images/", "val/");
    }
    let dir = in_folder(&files);
    assert_eq!(load_from(dir.path()).unwrap(), expected);
    // A copy in the published place counts.
    write(&dir.path().join(FOLDER), &[("val/images/val_0.JPEG".to_owned(), COLOUR.to_vec())]);
    write(&dir.path().join(FOLDER), &[("val/val_0.JPEG".to_owned(), b"?".to_vec())]);
    assert_eq!(load_from(dir.path()).unwrap(), expected);
    fs::remove_file(dir.path().join(FOLDER).join("val/val_2.JPEG")).unwrap();
    assert_eq!(load_from(dir.path()).unwrap().test, expected.test, "of a class that train lacks");
    fs::remove_file(dir.path().join(FOLDER).join("val/val_1.JPEG")).unwrap();
    assert!(failure(dir.path()).contains("expected the image val_1.JPEG in val/images, found none"));
}

#[test]
fn training_images_may_lie_in_their_class_itself() {
    let expected = load_from(unpacked().path()).unwrap();
    let mut files = files();
    for (name, _) in files.iter_mut().filter(|(name, _)| name.starts_with("train/")) {
        *name = name.replace("/images/", "/");
    }
    assert_eq!(load_from(in_folder(&files).path()).unwrap(), expected);
}

#[test]
fn sorted_test_images_come_in_the_order_of_their_numbers() {
    let mut files = sorted(|class, file| format!("val/{class}/{file}"));
    files.push(("val/n01/val_10.JPEG".to_owned(), COLOUR.to_vec()));
    files.push(("val/n02/val_9.JPEG".to_owned(), COLOUR.to_vec()));
    let set = load_from(in_folder(&files).path()).unwrap();
    assert_eq!(set.test.labels, [1, 0, 1, 0], "0, 1, 9 and 10");
}

/// The set with other annotations.
fn with_annotations(text: &[u8]) -> TempDir {
    let dir = unpacked();
    fs::write(dir.path().join(FOLDER).join("val/val_annotations.txt"), text).unwrap();
    dir
}

#[test]
fn annotations_may_be_as_editors_leave_them() {
    let expected = load_from(unpacked().path()).unwrap();
    let lines = ANNOTATIONS.replace('\n', "\r\n");
    let (first, _) = ANNOTATIONS.split_once('\n').unwrap();
    for text in [format!("\u{feff}{lines}"), lines, format!("{ANNOTATIONS}\n{first}\n")] {
        assert_eq!(load_from(with_annotations(text.as_bytes()).path()).unwrap(), expected, "{text:?}");
    }
    let text = format!("{ANNOTATIONS}val_0.JPEG\tn01\t0\t0\t1\t1\n");
    let text = failure(with_annotations(text.as_bytes()).path());
    let words = "expected val_0.JPEG to be of class n02, as in line 1, found n01 in line 4";
    assert!(text.contains(&format!("at byte {}: {words}", ANNOTATIONS.len())), "{text}");
    // Classes that train lacks may not contradict each other either.
    let text = failure(with_annotations(format!("{ANNOTATIONS}val_2.JPEG\tn78\n").as_bytes()).path());
    assert!(
        text.contains("expected val_2.JPEG to be of class n77, as in line 3, found n78 in line 4"),
        "{text}"
    );
}

/// An archive whose members have this before their names.
fn archive_under(top: &str) -> TempDir {
    let files = files();
    let named: Vec<_> = files.iter().map(|(name, bytes)| (format!("{top}{name}"), bytes)).collect();
    let mut members: Vec<(&str, &[u8])> = vec![("__MACOSX/train/n01/images/._n01_0.JPEG", b"?")];
    members.extend(named.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(ZIP), zip(&members, false)).unwrap();
    dir
}

#[test]
fn an_archive_may_have_another_top_folder_or_none() {
    let expected = load_from(unpacked().path()).unwrap();
    for top in ["", "./", "./tiny-imagenet-200/", "images/tiny-imagenet-200/"] {
        assert_eq!(load_from(archive_under(top).path()).unwrap(), expected, "{top:?}");
    }
}

#[test]
fn an_archive_may_have_the_separators_of_windows() {
    let files = files();
    let named: Vec<_> =
        files.iter().map(|(name, bytes)| (format!("{FOLDER}/{name}").replace('/', "\\"), bytes)).collect();
    let members: Vec<_> = named.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(ZIP), zip(&members, false)).unwrap();
    assert_eq!(load_from(dir.path()).unwrap(), load_from(unpacked().path()).unwrap());
}

#[test]
fn an_archive_is_read_where_an_extraction_was_broken_off() {
    let expected = load_from(unpacked().path()).unwrap();
    for left in [0, 3, 6, 9] {
        let dir = archive_under("tiny-imagenet-200/");
        fs::create_dir(dir.path().join(FOLDER)).unwrap();
        write(&dir.path().join(FOLDER), &files()[..left]);
        let set = load_from(dir.path()).unwrap();
        assert!(set.note.as_ref().unwrap().contains(" is not used: "), "{:?}", set.note);
        assert!(DataSet { note: expected.note.clone(), ..set } == expected, "{left} files");
        let reports = check(&Name::TinyImagenet.folders(dir.path()));
        assert!(matches!(&reports[0].status, Status::Unused { why } if why.contains("is read instead")));
        assert!(matches!(reports[1].status, Status::Part { .. }));
        // An archive that is damaged as well is no help.
        fs::write(dir.path().join(ZIP), b"PK").unwrap();
        let text = failure(dir.path());
        assert!(text.contains("tiny-imagenet-200.zip is no help (the archive is"), "{text}");
        assert!(text.contains("move both away, and get it with `ht data fetch tiny-imagenet"), "{text}");
    }
    // It may lack nothing but some of the images to train with, as the part of a set does that somebody chose.
    let dir = archive_under("tiny-imagenet-200/");
    write(&dir.path().join(FOLDER), &files()[1..]);
    let set = load_from(dir.path()).unwrap();
    assert_eq!(set.train.len(), 4);
    let note = set.note.unwrap();
    assert!(note.contains("4 training and 2 test images; 1 test images are left out"), "{note}");
    assert!(note.contains("such as n77; tiny-imagenet-200.zip has"), "{note}");
    // Of test images that somebody sorted, too.
    let dir = archive_under("tiny-imagenet-200/");
    let mut some = sorted(|class, file| format!("val/{class}/{file}"));
    some.retain(|(name, _)| name != "val/n01/val_1.JPEG");
    write(&dir.path().join(FOLDER), &some);
    let note = load_from(dir.path()).unwrap().note.unwrap();
    assert!(
        note.contains("5 training and 1 test images; ") && note.contains("tiny-imagenet-200.zip has"),
        "{note}"
    );
    let dir = archive_under("tiny-imagenet-200/");
    write(&dir.path().join(FOLDER), &files()[1..]);
    let status = check(&Name::TinyImagenet.folders(dir.path())).remove(0).status.to_string();
    let left_out = "1 test images are left out: `train` has no images of their classes, such as n77";
    let words = format!(
        "2 of 200 classes, 4 training and 2 test images; {left_out}; tiny-imagenet-200.zip has \
         2 of 200 classes, 5 training and 2 test images; {left_out}: move "
    );
    assert!(status.contains(&words), "{status}");
    // The last image of an extraction may have been cut; only decoding shows it.
    let dir = archive_under("tiny-imagenet-200/");
    write(&dir.path().join(FOLDER), &files());
    let root = dir.path().join(FOLDER);
    fs::write(root.join("train/n01/images/n01_2.JPEG"), &COLOUR[..300]).unwrap();
    let text = failure(dir.path());
    let archive = dir.path().join(ZIP);
    let advice = format!("; move {} away, and {} is read instead", root.display(), archive.display());
    assert!(text.contains("n01_2.JPEG: at byte ") && text.ends_with(&advice), "{text}");
    fs::remove_dir_all(root).unwrap();
    assert_eq!(load_from(dir.path()).unwrap(), expected);
}

#[test]
fn the_origin_is_part_or_unverified_without_the_published_archive() {
    let part = Origin::Part("5 of 100000 training images and 2 of 10000 test images".to_owned());
    assert_eq!(load_from(unpacked().path()).unwrap().origin, part);
    let dir = archive_under("tiny-imagenet-200/");
    let mut found = Found::find(&Name::TinyImagenet.folders(dir.path())).unwrap().unwrap();
    assert_eq!((found.md5(), found.origin(None)), (None, part));
    // As many images as are published, in an archive of another checksum.
    let one = Item { entry: found.source.entries().unwrap().remove(0), label: 0 };
    let pad = |items: &mut Vec<Item>, count| items.resize(count, one.clone());
    let Listing { train, test, .. } = &mut found.listing;
    [train, test].into_iter().zip(PUBLISHED).for_each(|(items, count)| pad(items, count));
    let md5 = found.md5().unwrap();
    assert_eq!(found.origin(Some(&md5)), Origin::Unverified);
    assert_eq!(found.origin(Some(Name::TinyImagenet.files()[0].md5)), Origin::Published);
    pad(&mut found.listing.test, PUBLISHED[1] + 1);
    assert_eq!(found.origin(None), Origin::Other("10001 test images where 10000 are published".to_owned()));
}

#[test]
fn a_folder_within_a_folder_of_its_name_is_read() {
    let expected = load_from(unpacked().path()).unwrap();
    let dir = TempDir::new().unwrap();
    write(&dir.path().join(FOLDER).join(FOLDER), &files());
    assert_eq!(load_from(dir.path()).unwrap(), expected);
}

#[test]
fn annotations_may_have_spaces() {
    let expected = load_from(unpacked().path()).unwrap();
    let dir = unpacked();
    let spaced = ANNOTATIONS.replace('\t', "  ");
    fs::write(dir.path().join(FOLDER).join("val/val_annotations.txt"), spaced).unwrap();
    assert_eq!(load_from(dir.path()).unwrap(), expected);
}

#[test]
fn images_that_are_left_out_and_images_of_another_format_are_named() {
    let note = load_from(unpacked().path()).unwrap().note.unwrap();
    assert_eq!(note, "1 test images are left out: `train` has no images of their classes, such as n77");
    let mut files = files();
    for (name, _) in &mut files {
        *name = name.replace(".JPEG", ".png");
    }
    let text = failure(in_folder(&files).path());
    let words = "expected images as train/CLASS/images/*.JPEG, found train/";
    assert!(text.contains(words) && text.contains(".png, which is no JPEG image"), "{text}");
}
