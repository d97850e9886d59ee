//! CIFAR-10 and CIFAR-100 (Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009).
//!
//! Both are published in two layouts, each an archive with one folder, and are read from the folder, from its files
//! without the folder, or straight from the `.tar.gz`:
//!
//! - binary: records of one label byte (CIFAR-100: two, of which the second, the fine label, is used) and 3,072 bytes, the
//!   red, the green and the blue plane of 32 rows of 32 pixels;
//! - Python: pickles of a dictionary with the list `labels` (CIFAR-100: `fine_labels`) and the array `data`,
//!   `[len, 3072]`, in the same order.
//!
//! A file may have any number of whole records. Images are in the order of the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::{self, Name, PublishedFile, is_there};
use crate::checksum::{md5_of, md5_of_bytes};
use crate::error::{FileError, FileProblem};
use crate::examine::{Content, FileReport, Status, examine};
use crate::{DataSet, Error, Images, Origin, pickle, tar};

/// Height and width of an image.
pub const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const IMAGE: usize = 3 * PLANE;

/// How the images and labels of a file are arranged.
#[derive(Clone, Copy)]
enum Form {
    /// Records with this many label bytes, of which the last counts.
    Binary { label_bytes: usize },
    /// A pickle with the labels under this key.
    Python { labels: &'static str },
}

/// One of the two ways a set is published.
struct Layout {
    form: Form,
    archive: PublishedFile,
    /// The folder in the archive.
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    /// The md5 of each of the files, where it is known.
    batches: &'static [&'static str],
}

const CIFAR10: [Layout; 2] = [
    Layout {
        form: Form::Binary { label_bytes: 1 },
        archive: catalogue::CIFAR10_BINARY,
        folder: "cifar-10-batches-bin",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        batches: &[],
    },
    Layout {
        form: Form::Python { labels: "labels" },
        archive: catalogue::CIFAR10_PYTHON,
        folder: "cifar-10-batches-py",
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        batches: &catalogue::CIFAR10_BATCHES,
    },
];

const CIFAR100: [Layout; 2] = [
    Layout {
        form: Form::Binary { label_bytes: 2 },
        archive: catalogue::CIFAR100_BINARY,
        folder: "cifar-100-binary",
        train: &["train.bin"],
        test: "test.bin",
        batches: &[],
    },
    Layout {
        form: Form::Python { labels: "fine_labels" },
        archive: catalogue::CIFAR100_PYTHON,
        folder: "cifar-100-python",
        train: &["train"],
        test: "test",
        batches: &catalogue::CIFAR100_BATCHES,
    },
];

impl Layout {
    fn files(&self) -> impl Iterator<Item = &'static str> {
        self.train.iter().copied().chain([self.test])
    }

    /// Number of images in a published file.
    fn published(&self, file: &str) -> usize {
        if file == self.test { 10_000 } else { 50_000 / self.train.len() }
    }
}

fn layouts(name: Name) -> (&'static [Layout; 2], usize) {
    if name == Name::Cifar100 { (&CIFAR100, 100) } else { (&CIFAR10, 10) }
}

/// Where a set was found: the folder of its files, or its archive.
struct Location {
    layout: &'static Layout,
    path: PathBuf,
    packed: bool,
}

/// A whole folder before an archive, an archive before a folder that an extraction left unfinished.
fn locate(name: Name, folders: &[PathBuf]) -> Option<Location> {
    let (layouts, _) = layouts(name);
    let mut archive = None;
    let mut unfinished = None;
    for (folder, layout) in
        folders.iter().flat_map(|folder| layouts.iter().map(move |layout| (folder, layout)))
    {
        let stem = layout.archive.name.trim_end_matches(".tar.gz");
        let inner = folder.join(stem);
        for path in [folder.join(layout.folder), folder.clone(), inner.join(layout.folder), inner] {
            let there = layout.files().filter(|file| is_there(&path.join(file))).count();
            if there == layout.files().count() {
                return Some(Location { layout, path, packed: false });
            }
            if there > 0 {
                unfinished = unfinished.or(Some(Location { layout, path, packed: false }));
            }
        }
        let path = folder.join(layout.archive.name);
        if is_there(&path) {
            archive = archive.or(Some(Location { layout, path, packed: true }));
        }
    }
    archive.or(unfinished)
}

/// Loads CIFAR-10 or CIFAR-100; see [`crate::load`].
///
/// Means and standard deviations are those of the released Hare & Tortoise code, in which CIFAR-100 has its own for
/// the test images.
pub(crate) fn load(name: Name, folders: &[PathBuf]) -> Result<DataSet, Error> {
    let (layouts, classes) = layouts(name);
    let Some(location) = locate(name, folders) else {
        let [binary, python] = [&layouts[0], &layouts[1]];
        return Err(Error::Missing {
            name: name.as_str(),
            missing: binary.files().collect(),
            forms: format!(
                "looked for in the folder {} or {}, without either, and in {} or {}",
                binary.folder, python.folder, binary.archive.name, python.archive.name
            ),
            looked_in: folders.to_vec(),
            advice: name.advice(folders),
        });
    };
    let advice = name.advice(folders);
    let images = |half: &str| Images {
        name: format!("{name} {half}"),
        height: SIDE,
        width: SIDE,
        channels: 3,
        classes,
        pixels: Arc::default(),
        labels: Vec::new(),
    };
    let (mut train, mut test) = (images("train"), images("test"));
    let mut same = true;
    for (file, (path, bytes)) in location.layout.files().zip(location.read(name, &advice)?) {
        // Once a file differs, the others need not be compared.
        same = same && !location.packed && is_published(location.layout, file, &bytes) == Some(true);
        let half = if file == location.layout.test { &mut test } else { &mut train };
        append(half, location.layout.form, &path, &bytes).map_err(|error| error.advise(&advice))?;
    }
    let counts = [(train.len(), 50_000), (test.len(), 10_000)];
    if location.packed && counts.iter().all(|(found, published)| found == published) {
        same = md5_of(&location.path).ok().as_deref() == Some(location.layout.archive.md5);
    }
    let mut set = DataSet::new(train, test, &[0.4914, 0.4822, 0.4465], &[0.2023, 0.1994, 0.2010]);
    set.origin = Origin::of(&counts, same.then_some(true));
    if name == Name::Cifar100 {
        set.mean = vec![0.507_075_16, 0.486_548_9, 0.440_917_85];
        set.std = vec![0.267_334_28, 0.256_438_46, 0.276_150_47];
        set.test_mean = vec![0.508_896_4, 0.487_393, 0.441_942_22];
        set.test_std = vec![0.268_251_57, 0.257_363_74, 0.277_095_77];
    }
    Ok(set)
}

impl Location {
    /// Path and bytes of each file, in the order of the layout.
    fn read(&self, name: Name, advice: &str) -> Result<Vec<(PathBuf, Vec<u8>)>, Error> {
        if self.packed {
            return Ok(self.unpack().map_err(|error| error.advise(advice))?);
        }
        let missing: Vec<&str> =
            self.layout.files().filter(|file| !is_there(&self.path.join(file))).collect();
        if !missing.is_empty() {
            return Err(Error::Missing {
                name: name.as_str(),
                missing,
                forms: "others of the set are there; looked".to_owned(),
                looked_in: vec![self.path.clone()],
                advice: format!("remove this folder, and {advice}"),
            });
        }
        let read = |file| read_file(self.path.join(file)).map_err(|error| error.advise(advice).into());
        self.layout.files().map(read).collect()
    }

    fn unpack(&self) -> Result<Vec<(PathBuf, Vec<u8>)>, FileError> {
        let file_name = |member: &str| member.rsplit('/').next().unwrap_or(member).to_owned();
        let wanted = |member: &str| self.layout.files().any(|file| file == file_name(member));
        let mut members = tar::members(&self.path, wanted)?;
        let find = |file: &str| {
            let Some(index) = members.iter().position(|member| file_name(&member.name) == file) else {
                let length = self.path.metadata().map_or(0, |metadata| metadata.len());
                let expected = format!("the member {}/{file}", self.layout.folder);
                return Err(FileError::format(&self.path, length, expected, "the end of the archive"));
            };
            let member = members.swap_remove(index);
            Ok((self.path.join(member.name), member.bytes))
        };
        self.layout.files().map(find).collect()
    }
}

fn read_file(path: PathBuf) -> Result<(PathBuf, Vec<u8>), FileError> {
    match std::fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err(FileError::new(&path, 0, FileProblem::reading(error))),
    }
}

/// Adds the images of a file.
fn append(images: &mut Images, form: Form, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if bytes.is_empty() {
        return Err(FileError::new(path, 0, FileProblem::Empty));
    }
    let classes = images.classes;
    let mut label = |found: i64, at: u64| {
        let valid = u32::try_from(found).ok().filter(|&label| (label as usize) < classes);
        let problem = FileProblem::Label { classes, found };
        images.labels.push(valid.ok_or_else(|| FileError::new(path, at, problem))?);
        Ok(())
    };
    match form {
        Form::Binary { label_bytes } => {
            let record = label_bytes + IMAGE;
            if !bytes.len().is_multiple_of(record) {
                let expected = bytes.len().next_multiple_of(record) as u64;
                let problem = FileProblem::Truncated { expected };
                return Err(FileError::new(path, bytes.len() as u64, problem));
            }
            let pixels = Arc::make_mut(&mut images.pixels);
            pixels.reserve(bytes.len() / record * IMAGE);
            for (index, record) in bytes.chunks(record).enumerate() {
                let (labels, planes) = record.split_at(label_bytes);
                let at = index * record.len() + label_bytes - 1;
                label(i64::from(labels[label_bytes - 1]), at as u64)?;
                interleave(planes, pixels);
            }
        }
        Form::Python { labels } => {
            let batch = pickle::read(path, bytes, labels, IMAGE)?;
            for &(found, at) in &batch.labels {
                label(found, at)?;
            }
            let pixels = Arc::make_mut(&mut images.pixels);
            pixels.reserve(batch.rows.len());
            for planes in batch.rows.chunks(IMAGE) {
                interleave(planes, pixels);
            }
        }
    }
    Ok(())
}

/// Appends the pixels `[32, 32, 3]` of planes `[3, 32, 32]`.
fn interleave(planes: &[u8], pixels: &mut Vec<u8>) {
    let (red, rest) = planes.split_at(PLANE);
    let (green, blue) = rest.split_at(PLANE);
    let colours = red.iter().zip(green).zip(blue);
    pixels.extend(colours.flat_map(|((&red, &green), &blue)| [red, green, blue]));
}

/// Looks at the archive, or at each of its files if they are unpacked.
pub(crate) fn check(name: Name, folders: &[PathBuf]) -> Vec<FileReport> {
    let Some(location) = locate(name, folders) else {
        let file = name.files()[0].name.to_owned();
        return vec![FileReport { file, path: None, status: Status::Missing }];
    };
    let (layout, (_, classes)) = (location.layout, layouts(name));
    if location.packed {
        let status = examine(&layout.archive, &location.path, || {
            let mut sum = 0;
            for (path, bytes) in location.unpack()? {
                sum += count(layout, classes, &path, &bytes)?;
            }
            Ok(Content { found: sum, published: 60_000, what: "images", verified: None })
        });
        let file = layout.archive.name.to_owned();
        return vec![FileReport {
            file,
            path: Some(location.path),
            status: status.advise(&name.advice(folders)),
        }];
    }
    let look = |file: &'static str| {
        let path = location.path.join(file);
        if !is_there(&path) {
            return FileReport { file: file.to_owned(), path: None, status: Status::Missing };
        }
        let published = layout.published(file);
        let checked = read_file(path.clone()).and_then(|(path, bytes)| {
            Ok((count(layout, classes, &path, &bytes)?, is_published(layout, file, &bytes)))
        });
        let status = match checked {
            Ok((_, Some(true))) => Status::Ok,
            Ok((found, _)) if found < published => {
                Status::Part { what: format!("{found} of {published} images") }
            }
            Ok((found, _)) if found > published => {
                Status::Other { why: format!("{found} images where {published} are published") }
            }
            Ok(_) => Status::Unpacked,
            Err(error) => Status::Damaged(error.advise(&name.advice(folders))),
        };
        FileReport { file: file.to_owned(), path: Some(path), status }
    };
    layout.files().map(look).collect()
}

/// Number of images in a well-formed file.
fn count(layout: &Layout, classes: usize, path: &Path, bytes: &[u8]) -> Result<usize, FileError> {
    let (name, pixels, labels) = (String::new(), Arc::default(), Vec::new());
    let mut images = Images { name, height: SIDE, width: SIDE, channels: 3, classes, pixels, labels };
    append(&mut images, layout.form, path, bytes)?;
    Ok(images.len())
}

/// Whether an unpacked file has the published md5; `None` in the binary layout, for which none is known.
fn is_published(layout: &Layout, file: &str, bytes: &[u8]) -> Option<bool> {
    let index = layout.files().position(|other| other == file)?;
    Some(layout.batches.get(index)? == &md5_of_bytes(bytes))
}

#[cfg(test)]
mod tests;
