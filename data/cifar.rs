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

mod layout;

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::catalogue::{CIFAR10_CONTENT, CIFAR10_LABELS_ONLY, Name, entry, is_there};
use crate::checksum::digits;
use crate::error::{FileError, FileProblem};
use crate::examine::{Content, FileReport, Status, examine};
use crate::identity::Half;
use crate::input::{Failure, Input, fill, reserve};
use crate::kind::kind_of;
use crate::{DataSet, Error, Images, Origin, pickle, tar};
pub(crate) use layout::elsewhere;
use layout::{Form, Layout, Location, layouts, locate};

/// Height and width of an image.
pub const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const IMAGE: usize = 3 * PLANE;
/// Images of a published file of CIFAR-10.
const BATCH: usize = 10_000;

/// Loads CIFAR-10 or CIFAR-100; see [`crate::load`].
///
/// Means and standard deviations are those of the released Hare & Tortoise code, in which CIFAR-100 has its own for
/// the test images.
pub(crate) fn load(name: Name, folders: &[PathBuf]) -> Result<DataSet, Error> {
    let (layouts, classes) = layouts(name);
    let Some(location) = locate(name, folders) else {
        let [binary, python] = [&layouts[0], &layouts[1]];
        return Err(Error::Missing {
            name,
            missing: binary.files().collect(),
            forms: format!(
                "looked for in the folder {} or {}, without either, and in {} or {}",
                binary.folder, python.folder, binary.archive.name, python.archive.name
            )
            .into(),
            looked_in: folders.to_vec(),
            not_read: Name::not_read(folders).into(),
            advice: match elsewhere(name, folders).as_slice() {
                [] => name.advice(folders),
                [path, ..] => format!(
                    "if the files in {path} are the set, give this folder as --data; or {}",
                    name.advice(folders),
                    path = path.display()
                ),
            },
        });
    };
    let advice = location.advice(name, folders);
    let images = |half: &str| Images { name: format!("{name} {half}"), ..no_images(classes) };
    let (mut train, mut test) = (images("train"), images("test"));
    let missing = location.missing();
    if !missing.is_empty() {
        return Err(Error::Missing {
            name,
            missing,
            forms: "others of the set are there; looked".into(),
            looked_in: vec![location.path],
            not_read: Box::default(),
            advice: name.advice(folders),
        });
    }
    let published = location.read(&mut train, &mut test).map_err(|error| error.advise(&advice))?;
    let verified = [verify(name, 0, published[0], &train), verify(name, 1, published[1], &test)];
    let halves = Half::both([train.len(), test.len()], [50_000, 10_000], verified);
    let mut set = DataSet::new(train, test, &[0.4914, 0.4822, 0.4465], &[0.2023, 0.1994, 0.2010]);
    set.origin = Origin::of(&halves);
    set.note = location.note(matches!(set.origin, Origin::Part(_)));
    if name == Name::Cifar100 {
        set.mean = vec![0.507_075_16, 0.486_548_9, 0.440_917_85];
        set.std = vec![0.267_334_28, 0.256_438_46, 0.276_150_47];
        set.test_mean = vec![0.508_896_4, 0.487_393, 0.441_942_22];
        set.test_std = vec![0.268_251_57, 0.257_363_74, 0.277_095_77];
    }
    Ok(set)
}

/// Whether the images of a half (0: training, 1: test) are the published ones: they are in files with the published
/// checksums, or they are not if their content is another.
fn verify(name: Name, half: usize, published: bool, images: &Images) -> Option<bool> {
    let files = if half == 0 {
        0..CIFAR10_CONTENT.len() - 1
    } else {
        CIFAR10_CONTENT.len() - 1..CIFAR10_CONTENT.len()
    };
    let other = || {
        let is_whole = name == Name::Cifar10 && images.len() == files.len() * BATCH;
        is_whole && files.enumerate().any(|(batch, file)| is_other(images, batch, file))
    };
    if published { Some(true) } else { other().then_some(false) }
}

/// Whether the images of a batch of CIFAR-10 are other ones than those of the published file of this index.
fn is_other(images: &Images, batch: usize, file: usize) -> bool {
    content(images, batch * BATCH..(batch + 1) * BATCH, CIFAR10_LABELS_ONLY[file]) != CIFAR10_CONTENT[file]
}

/// The SHA-256 of label and pixels image after image, of some the label alone.
fn content(images: &Images, range: Range<usize>, labels_only: &[usize]) -> String {
    let mut digest = Sha256::new();
    for (index, image) in range.enumerate() {
        digest.update([images.labels[image] as u8]);
        if !labels_only.contains(&index) {
            digest.update(images.image(image));
        }
    }
    digits(&digest.finalize())
}

impl Location {
    /// Adds the images of all files, in the order of the layout. Of which half they are known to be the published ones.
    fn read(&self, train: &mut Images, test: &mut Images) -> Result<[bool; 2], FileError> {
        if self.packed {
            return self.unpack(train, test).map(|published| [published; 2]);
        }
        let mut published = [true; 2];
        for file in self.layout.files() {
            let is_test = file == self.layout.test;
            let (half, published) =
                if is_test { (&mut *test, &mut published[1]) } else { (&mut *train, &mut published[0]) };
            // Once a file differs, the others of its half need not be compared.
            *published &= append_file(half, self.layout, file, &self.path, *published)? == Some(true);
        }
        Ok(published)
    }

    /// As [`Location::read`], from an archive, where the files may have any order.
    fn unpack(&self, train: &mut Images, test: &mut Images) -> Result<bool, FileError> {
        let files: Vec<&str> = self.layout.files().collect();
        let mut counts = vec![0; files.len()];
        let md5 = tar::members(&self.path, |member, length, reader| {
            let file_name = member.rsplit('/').next().unwrap_or(member);
            let Some(index) = files.iter().position(|file| file.eq_ignore_ascii_case(file_name)) else {
                return Ok(());
            };
            if counts[index] > 0 {
                return Ok(());
            }
            let is_test = files[index] == self.layout.test;
            let (half, from) = if is_test { (&mut *test, index) } else { (&mut *train, 0) };
            let before = half.len();
            append(half, self.layout.form, &self.path.join(member), reader, length)?;
            counts[index] = half.len() - before;
            // Behind the files that it follows, before those that came too early.
            let place: usize = counts[from..index].iter().sum();
            half.labels[place..].rotate_right(counts[index]);
            Arc::make_mut(&mut half.pixels)[place * IMAGE..].rotate_right(counts[index] * IMAGE);
            Ok(())
        })?;
        match files.iter().zip(counts).find(|(_, count)| *count == 0) {
            None => Ok(md5 == self.layout.archive.md5),
            Some((file, _)) => {
                let length = self.path.metadata().map_or(0, |metadata| metadata.len());
                let expected = format!("the member {}/{file}", self.layout.folder);
                Err(FileError::format(&self.path, length, expected, "the end of the archive"))
            }
        }
    }
}

/// Adds the images of a file in `folder`. Whether it is the published one, by its MD5; `None` without `compare`, and in
/// the binary layout, for which none is known.
fn append_file(
    images: &mut Images,
    layout: &Layout,
    file: &str,
    folder: &Path,
    compare: bool,
) -> Result<Option<bool>, FileError> {
    let path = entry(folder, file);
    let index = layout.files().position(|other| compare && other == file);
    let Some(published) = index.and_then(|index| layout.batches.get(index)) else {
        append_input(images, layout.form, &path, &mut Input::open(&path)?)?;
        return Ok(None);
    };
    let mut input = Input::open_hashed(&path)?;
    append_input(images, layout.form, &path, &mut input)?;
    let md5 = input.md5().map_err(|error| FileError::new(&path, 0, FileProblem::reading(error)))?;
    Ok(Some(md5 == *published))
}

fn append_input<R: Read>(
    images: &mut Images,
    form: Form,
    path: &Path,
    input: &mut Input<R>,
) -> Result<(), FileError> {
    let length = input.length();
    append(images, form, path, input, length).map_err(|failure| match failure {
        Failure::Reading(error) => FileError::new(path, input.position(), FileProblem::reading(error)),
        Failure::Content(error) => error,
    })
}

/// Adds the images of a file of at most `length` bytes, written as `path`.
fn append(
    images: &mut Images,
    form: Form,
    path: &Path,
    reader: &mut dyn Read,
    length: u64,
) -> Result<(), Failure> {
    if length == 0 {
        return Err(FileError::new(path, 0, FileProblem::Empty).into());
    }
    let classes = images.classes;
    let mut label = |found: i64, at: u64| {
        let valid = u32::try_from(found).ok().filter(|&label| (label as usize) < classes);
        let problem = FileProblem::Label { classes, found };
        images.labels.push(valid.ok_or_else(|| FileError::new(path, at, problem))?);
        Ok::<_, FileError>(())
    };
    let pixels = Arc::make_mut(&mut images.pixels);
    let start = pixels.len();
    let no_memory = |problem| FileError::new(path, 0, problem);
    match form {
        Form::Binary { label_bytes } => {
            let mut record = vec![0; label_bytes + IMAGE];
            let size = record.len() as u64;
            reserve(pixels, length / size * IMAGE as u64, length).map_err(no_memory)?;
            for index in 0.. {
                let at = index * size;
                match fill(reader, &mut record)? as u64 {
                    0 => break,
                    found if found < size => {
                        let problem = FileProblem::Truncated { expected: at + size };
                        return Err(FileError::new(path, at + found, problem).into());
                    }
                    _ if index == 0 && kind_of(&record).is_some() => {
                        let found = kind_of(&record).unwrap_or_default();
                        return Err(FileError::format(path, 0, "records of images", found).into());
                    }
                    _ => label(i64::from(record[label_bytes - 1]), at + label_bytes as u64 - 1)?,
                }
                pixels.extend(&record[label_bytes..]);
            }
        }
        Form::Python { labels } => {
            let batch = pickle::read(path, reader, length, labels, IMAGE)?;
            for &(found, at) in &batch.labels {
                label(found, at)?;
            }
            if pixels.is_empty() {
                *pixels = batch.rows;
            } else {
                reserve(pixels, batch.rows.len() as u64, length).map_err(no_memory)?;
                pixels.extend(batch.rows);
            }
        }
    }
    pixels[start..].chunks_exact_mut(IMAGE).for_each(interleave);
    Ok(())
}

/// Makes pixels `[32, 32, 3]` of planes `[3, 32, 32]`.
fn interleave(image: &mut [u8]) {
    let mut planes = [0; IMAGE];
    planes.copy_from_slice(image);
    let (red, rest) = planes.split_at(PLANE);
    let (green, blue) = rest.split_at(PLANE);
    for (pixel, ((&red, &green), &blue)) in image.chunks_exact_mut(3).zip(red.iter().zip(green).zip(blue)) {
        pixel.copy_from_slice(&[red, green, blue]);
    }
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
            let (mut train, mut test) = (no_images(classes), no_images(classes));
            location.unpack(&mut train, &mut test)?;
            let found = train.len() + test.len();
            let others = [(0, &train), (1, &test)].map(|(half, images)| verify(name, half, false, images));
            let verified = others.contains(&Some(false)).then_some(false);
            Ok(Content { found, published: 60_000, what: "images", verified })
        });
        let unfinished = location.passed_over.as_ref().map(|unfinished| FileReport {
            file: layout.folder.to_owned(),
            path: Some(unfinished.path.clone()),
            status: Status::Unused { why: unfinished.why(&location.path) },
        });
        let (file, status) = (layout.archive.name.to_owned(), status.advise(&location.advice(name, folders)));
        let report = FileReport { file, path: Some(location.path), status };
        return unfinished.into_iter().chain([report]).collect();
    }
    let look = |(index, file): (usize, &'static str)| {
        let path = entry(&location.path, file);
        if !is_there(&path) {
            return FileReport { file: file.to_owned(), path: None, status: Status::Missing };
        }
        let published = layout.published(file);
        let mut images = no_images(classes);
        let checked = append_file(&mut images, layout, file, &location.path, true);
        let status = match checked {
            Ok(Some(true)) => Status::Ok,
            Ok(_) if images.len() < published => {
                Status::Part { what: format!("{} of {published} images", images.len()) }
            }
            Ok(_) if images.len() > published => {
                Status::Other { why: format!("{} images where {published} are published", images.len()) }
            }
            Ok(Some(false)) => {
                Status::Other { why: "as many images, but written otherwise or other ones".to_owned() }
            }
            Ok(_) if name == Name::Cifar10 && is_other(&images, 0, index) => {
                Status::Other { why: "as many images, but other ones or with other labels".to_owned() }
            }
            Ok(_) => Status::Unpacked,
            Err(error) => Status::Damaged(error.advise(&location.advice(name, folders))),
        };
        FileReport { file: file.to_owned(), path: Some(path), status }
    };
    layout.files().enumerate().map(look).collect()
}

/// No images yet.
fn no_images(classes: usize) -> Images {
    let (name, pixels, labels) = (String::new(), Arc::default(), Vec::new());
    Images { name, height: SIDE, width: SIDE, channels: 3, classes, pixels, labels }
}

#[cfg(test)]
mod tests;
