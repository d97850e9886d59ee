//! Which images there are, in which order, and of which class.

use std::collections::{BTreeMap, HashMap};
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
    /// A checksum over name, length, stamp and label of each image in order: what the pixels follow from.
    pub(super) digest: [u8; 16],
}

impl Listing {
    pub(super) fn new(source: &Source) -> Result<Self, FileError> {
        let mut by_class: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let mut validation = HashMap::new();
        let mut sorted = Vec::new();
        let mut annotations = None;
        for entry in source.entries()? {
            match entry.name.split('/').collect::<Vec<_>>().as_slice() {
                ["train", class, file] | ["train", class, "images", file] if is_image(file) => {
                    by_class.entry((*class).to_owned()).or_default().push(entry);
                }
                ["val", "images", file] if is_image(file) => {
                    validation.insert((*file).to_owned(), Annotated { entry, told: None });
                }
                ["val", file] if is_image(file) => {
                    validation.entry((*file).to_owned()).or_insert(Annotated { entry, told: None });
                }
                ["val", class, file] | ["val", class, "images", file] if is_image(file) => {
                    sorted.push((file.len(), (*file).to_owned(), (*class).to_owned(), entry));
                }
                _ if entry.name == ANNOTATIONS => annotations = Some(entry),
                _ => {}
            }
        }
        if by_class.is_empty() {
            let path = source.path_of("train");
            return Err(FileError::format(&path, 0, "images as train/CLASS/images/*.JPEG", "none"));
        }
        let classes: Vec<String> = by_class.keys().cloned().collect();
        let train = in_turn(by_class);
        // Images that somebody sorted by their annotations need them no longer.
        let (test, told_by) = if validation.is_empty() && !sorted.is_empty() {
            (in_folders(sorted, &classes), "val")
        } else if let Some(annotations) = annotations {
            (annotated(source, &source.read(&annotations)?, &classes, validation)?, ANNOTATIONS)
        } else {
            return Err(FileError::format(&source.path_of(ANNOTATIONS), 0, "this file", "none"));
        };
        if test.is_empty() {
            let path = source.path_of(told_by);
            return Err(FileError::format(&path, 0, "test images of the classes in train", "none"));
        }
        let digest = digest(train.iter().chain(&test));
        Ok(Self { classes, train, test, digest })
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (classes, train, test) = (self.classes.len(), self.train.len(), self.test.len());
        write!(f, "{classes} of {CLASSES} classes, {train} training and {test} test images")
    }
}

/// Hidden files, such as some systems add to copies, are none.
fn is_image(file: &str) -> bool {
    let extension = file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    !file.starts_with('.') && matches!(extension.as_deref(), Some("jpeg" | "jpg"))
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
fn in_folders(mut images: Vec<(usize, String, String, Entry)>, classes: &[String]) -> Vec<Item> {
    images.sort_by(|(a_length, a_file, a, _), (b_length, b_file, b, _)| {
        (a_length, a_file, a).cmp(&(b_length, b_file, b))
    });
    let labelled = images.into_iter().map(|(_, _, class, entry)| Some((label_of(classes, &class)?, entry)));
    labelled.flatten().map(|(label, entry)| Item { entry, label }).collect()
}

/// A test image, and its class with the line that says so, once there was one.
struct Annotated {
    entry: Entry,
    told: Option<(String, usize)>,
}

/// The test images of these classes, in the order of the annotations: lines of file, class and the corners of a box,
/// with tabs between them. A file may be named again with the same class.
fn annotated(
    source: &Source,
    text: &[u8],
    classes: &[String],
    mut images: HashMap<String, Annotated>,
) -> Result<Vec<Item>, FileError> {
    let path = source.path_of(ANNOTATIONS);
    let mut items = Vec::new();
    let mut at = 0;
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let wrong = |expected: &str, found: &str| FileError::format(&path, at, expected, found);
        let words = String::from_utf8_lossy(line);
        let words = words.strip_prefix(BYTE_ORDER_MARK).filter(|_| number == 1).unwrap_or(&words);
        let mut words = words.trim_end().split('\t');
        match (words.next(), words.next()) {
            (Some(""), None) => {}
            (Some(file), Some(class)) => match (images.get_mut(file), label_of(classes, class)) {
                (None, None) => {}
                (None, Some(_)) => {
                    return Err(wrong(&format!("the image {file} in val/images"), "none of that name"));
                }
                (Some(Annotated { told: Some((first, _)), .. }), _) if first == class => {}
                (Some(Annotated { told: Some((first, line)), .. }), _) => {
                    let expected = format!("{file} to be of class {first}, as in line {line}");
                    return Err(wrong(&expected, &format!("{class} in line {number}")));
                }
                (Some(Annotated { entry, told }), label) => {
                    *told = Some((class.to_owned(), number));
                    items.extend(label.map(|label| Item { entry: entry.clone(), label }));
                }
            },
            _ => return Err(wrong("file and class with a tab between them", "a line without")),
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
