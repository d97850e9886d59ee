//! Which images there are, in which order, and of which class.

use std::collections::{BTreeMap, HashMap, hash_map};
use std::fmt;

use md5::{Digest, Md5};

use super::CLASSES;
use super::source::{Entry, Source};
use crate::error::FileError;

const ANNOTATIONS: &str = "val/val_annotations.txt";
/// What some editors put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// An image of the set.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) entry: Entry,
    pub(super) label: u32,
}

/// All images of the set.
pub(super) struct Listing {
    /// Names of the classes, sorted; a label is an index into them.
    pub(super) classes: Vec<String>,
    pub(super) train: Vec<Item>,
    pub(super) test: Vec<Item>,
    /// Test images of classes that `train` has no images of, and one of these classes.
    other_classes: (usize, String),
    /// A checksum over name, length, stamp and label of each image in order: what the pixels follow from.
    pub(super) digest: [u8; 16],
}

impl Listing {
    pub(super) fn new(source: &Source) -> Result<Self, FileError> {
        let mut by_class: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let mut validation = HashMap::new();
        let mut sorted = Vec::new();
        let mut annotations = None;
        let mut not_jpeg = None;
        for entry in source.entries()? {
            match entry.name.split('/').collect::<Vec<_>>().as_slice() {
                ["train", class, file] | ["train", class, "images", file] if is_image(file) => {
                    by_class.entry((*class).to_owned()).or_default().push(entry);
                }
                ["val", "images", file] if is_image(file) => {
                    validation.insert((*file).to_owned(), entry);
                }
                ["val", class, file] | ["val", class, "images", file] if is_image(file) => {
                    sorted.push((file.len(), (*file).to_owned(), (*class).to_owned(), entry));
                }
                ["train", _, file] | ["train", _, "images", file] if is_other_image(file) => {
                    not_jpeg.get_or_insert(entry.name);
                }
                _ if entry.name == ANNOTATIONS => annotations = Some(entry),
                _ => {}
            }
        }
        if by_class.is_empty() {
            let path = source.path_of("train");
            let found = not_jpeg.map_or("none".to_owned(), |name| format!("{name}, which is no JPEG image"));
            return Err(FileError::format(&path, 0, "images as train/CLASS/images/*.JPEG", found));
        }
        let classes: Vec<String> = by_class.keys().cloned().collect();
        let train = in_turn(by_class);
        // Images that somebody sorted by their annotations need them no longer.
        let mut other_classes = (0, String::new());
        let mut leave_out = |class: &str| {
            other_classes.0 += 1;
            class.clone_into(&mut other_classes.1);
        };
        let (test, told_by) = if validation.is_empty() && !sorted.is_empty() {
            (in_folders(sorted, &classes, &mut leave_out), "val")
        } else if let Some(annotations) = annotations {
            let text = source.read(&annotations)?;
            (annotated(source, &text, &classes, validation, &mut leave_out)?, ANNOTATIONS)
        } else {
            return Err(FileError::format(&source.path_of(ANNOTATIONS), 0, "this file", "none"));
        };
        if test.is_empty() {
            let path = source.path_of(told_by);
            return Err(FileError::format(&path, 0, "test images of the classes in train", "none"));
        }
        let digest = digest(train.iter().chain(&test));
        Ok(Self { classes, train, test, other_classes, digest })
    }

    /// What a person should know of test images that are not used.
    pub(super) fn left_out(&self) -> Option<String> {
        let (count, class) = &self.other_classes;
        (*count > 0).then(|| {
            format!(
                "{count} test images are left out: `train` has no images of their classes, such as {class}"
            )
        })
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (classes, train, test) = (self.classes.len(), self.train.len(), self.test.len());
        write!(f, "{classes} of {CLASSES} classes, {train} training and {test} test images")?;
        self.left_out().map_or(Ok(()), |left_out| write!(f, "; {left_out}"))
    }
}

/// Hidden files, such as some systems add to copies, are none.
fn is_image(file: &str) -> bool {
    let extension = file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    !file.starts_with('.') && matches!(extension.as_deref(), Some("jpeg" | "jpg"))
}

/// Whether it is an image in a format that the set does not have.
fn is_other_image(file: &str) -> bool {
    let extension = file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    !file.starts_with('.') && matches!(extension.as_deref(), Some("png" | "bmp" | "gif" | "webp" | "npy"))
}

/// The first image of each class, then the second of each, and so on.
fn in_turn(by_class: BTreeMap<String, Vec<Entry>>) -> Vec<Item> {
    let mut ranked = Vec::new();
    for (label, mut entries) in (0..).zip(by_class.into_values()) {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        ranked.extend(entries.into_iter().enumerate().map(|(rank, entry)| (rank, Item { entry, label })));
    }
    ranked.sort_by_key(|(rank, item)| (*rank, item.label));
    ranked.into_iter().map(|(_, item)| item).collect()
}

/// The label of a class, unless `train` has no images of it.
fn label_of(classes: &[String], class: &str) -> Option<u32> {
    classes.binary_search_by(|known| known.as_str().cmp(class)).ok().map(|label| label as u32)
}

/// The test images of these classes from folders of one class each: length of the file's name, the name, class, entry.
/// In this order, that of the published annotations, `val_2.JPEG` comes before `val_10.JPEG`.
/// `leave_out` is told the class of each other image.
fn in_folders(
    mut images: Vec<(usize, String, String, Entry)>,
    classes: &[String],
    leave_out: &mut impl FnMut(&str),
) -> Vec<Item> {
    images.sort_by(|(a_length, a_file, a, _), (b_length, b_file, b, _)| {
        (a_length, a_file, a).cmp(&(b_length, b_file, b))
    });
    let labelled = images.into_iter().filter_map(|(_, _, class, entry)| {
        let label = label_of(classes, &class);
        if label.is_none() {
            leave_out(&class);
        }
        Some(Item { entry, label: label? })
    });
    labelled.collect()
}

/// The test images of these classes, in the order of the annotations: lines of file, class and the corners of a box,
/// with tabs between them, or spaces. A file may be named again with the same class. `leave_out` is told the class of each
/// image of another one.
fn annotated(
    source: &Source,
    text: &[u8],
    classes: &[String],
    mut images: HashMap<String, Entry>,
    leave_out: &mut impl FnMut(&str),
) -> Result<Vec<Item>, FileError> {
    let path = source.path_of(ANNOTATIONS);
    let mut items = Vec::new();
    // The class of each file so far, and the line that says so.
    let mut told: HashMap<String, (String, usize)> = HashMap::new();
    let mut at = 0;
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let wrong = |expected: &str, found: &str| FileError::format(&path, at, expected, found);
        let words = String::from_utf8_lossy(line);
        let words = words.strip_prefix(BYTE_ORDER_MARK).filter(|_| number == 1).unwrap_or(&words);
        let words = words.trim_end();
        let mut words =
            words.split(if words.contains('\t') { '\t' } else { ' ' }).filter(|word| !word.is_empty());
        match (words.next(), words.next()) {
            (None, None) => {}
            (Some(file), Some(class)) => match told.entry(file.to_owned()) {
                hash_map::Entry::Occupied(before) => {
                    let (first, line) = before.get();
                    if first != class {
                        let expected = format!("{file} to be of class {first}, as in line {line}");
                        return Err(wrong(&expected, &format!("{class} in line {number}")));
                    }
                }
                hash_map::Entry::Vacant(new) => {
                    new.insert((class.to_owned(), number));
                    if let Some(label) = label_of(classes, class) {
                        let entry = images.remove(file).ok_or_else(|| {
                            wrong(&format!("the image {file} in val/images"), "none of that name")
                        })?;
                        items.push(Item { entry, label });
                    } else {
                        leave_out(class);
                    }
                }
            },
            _ => return Err(wrong("file and class with a tab between them", "one word")),
        }
        at += line.len() as u64 + 1;
    }
    Ok(items)
}

fn digest<'a>(items: impl Iterator<Item = &'a Item>) -> [u8; 16] {
    let mut hash = Md5::new();
    for Item { entry, label } in items {
        hash.update(format!("{}\n{} {} {label}\n", entry.name, entry.length, entry.stamp));
    }
    hash.finalize().into()
}
