//! MNIST and Fashion-MNIST: four IDX files each, packed with gzip or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::{self, Name};
use crate::checksum::{md5_of, sha256_of_bytes};
use crate::error::{FileError, FileProblem};
use crate::examine::{Content, FileReport, Status, examine};
use crate::identity::Half;
use crate::{DataSet, Error, Images, Origin, idx};

/// Numbers of training and test images of the published sets.
const PUBLISHED: [usize; 2] = [60_000, 10_000];
/// Pixels of an image.
const IMAGE: usize = 28 * 28;

/// Loads MNIST or Fashion-MNIST; see [`crate::load`].
pub(crate) fn load(name: Name, folders: &[PathBuf]) -> Result<DataSet, Error> {
    let places = name.places(folders);
    let found: Vec<Option<PathBuf>> = name.files().iter().map(|file| file.find(&places)).collect();
    let missing: Vec<&str> = name
        .files()
        .iter()
        .zip(&found)
        .filter(|(_, at)| at.is_none())
        .map(|(f, _)| f.unpacked_name())
        .collect();
    let found: Vec<PathBuf> = found.into_iter().flatten().collect();
    if !missing.is_empty() {
        return Err(Error::Missing {
            name,
            missing,
            forms: "each looked for as FILE.gz and FILE, with `-idx` or `.idx`, also in a folder of its own name and in \
                    those of torchvision and Kaggle,"
                .into(),
            looked_in: folders.to_vec(),
            not_read: Name::not_read(folders).into(),
            advice: name.advice(folders),
        });
    }
    let (mean, std) = match name {
        Name::FashionMnist => (0.2860, 0.3530),
        _ => (0.1307, 0.3081),
    };
    let of = |index: usize| (found[index].as_path(), name.files()[index].advice(name, folders));
    let train = load_half(name, "train", of(0), of(1))?;
    let test = load_half(name, "test", of(2), of(3))?;
    let verified = [verify(name, 0, &found, &train)?, verify(name, 1, &found, &test)?];
    let origin = Origin::of(&Half::both([train.len(), test.len()], PUBLISHED, verified));
    Ok(DataSet { origin, ..DataSet::new(train, test, &[mean], &[std]) })
}

/// Whether a half (0: training, 1: test) is the published one: by its unpacked content where the checksum of that is known,
/// or else by its two files among `paths`.
fn verify(name: Name, half: usize, paths: &[PathBuf], images: &Images) -> Result<Option<bool>, FileError> {
    let files = 2 * half..2 * half + 2;
    if images.len() != PUBLISHED[half] {
        return Ok((!begins_as(name, &images.pixels, catalogue::MNIST_FIRST[half])).then_some(false));
    }
    let header = idx::header(&[idx::IMAGES, images.len() as u32, 28, 28]);
    let pixels = sha256_of_bytes(&[&header, &images.pixels]);
    let [mnist_pixels, mnist_labels] = [0, 1].map(|file| catalogue::MNIST_UNPACKED[files.start + file]);
    if name == Name::Mnist {
        let labels = sha256_of_bytes(&[&idx::label_file(images)]);
        return Ok(Some(pixels == mnist_pixels && labels == mnist_labels));
    }
    if pixels == mnist_pixels {
        return Err(other_set(name, Name::Mnist, &paths[files.start]));
    }
    let published = name.files()[files.clone()].iter().zip(&paths[files]);
    // Files that were unpacked, or packed anew, may well be the same images.
    let packed = published.into_iter().all(|(file, path)| md5_of(path).ok().as_deref() == Some(file.md5));
    Ok(packed.then_some(true))
}

fn other_set(expected: Name, found: Name, path: &Path) -> FileError {
    let problem = FileProblem::OtherSet { expected: expected.as_str(), found: found.as_str() };
    let advice = "keep each set in a folder of its own name".to_owned();
    FileError { advice, ..FileError::new(path, 0, problem) }
}

/// Whether the first image is MNIST's; of Fashion-MNIST's none is known here.
fn begins_as(name: Name, pixels: &[u8], first: &str) -> bool {
    name != Name::Mnist || sha256_of_bytes(&[&pixels[..pixels.len().min(IMAGE)]]) == first
}

/// Reads a half from its two files, each with the advice for when it is damaged.
fn load_half(
    name: Name,
    half: &str,
    (images_path, images_advice): (&Path, String),
    (labels_path, labels_advice): (&Path, String),
) -> Result<Images, Error> {
    refuse_other_set(name, images_path)?;
    refuse_other_set(name, labels_path)?;
    let images =
        idx::read_images(images_path, Some((28, 28))).map_err(|error| error.advise(&images_advice))?;
    let labels = idx::read_labels(labels_path, 10).map_err(|error| error.advise(&labels_advice))?;
    if images.count != labels.len() {
        let error = count_mismatch((images_path, images.count), (labels_path, labels.len()));
        return Err(error.advise(&labels_advice).into());
    }
    Ok(Images {
        name: format!("{name} {half}"),
        height: images.height,
        width: images.width,
        channels: 1,
        classes: 10,
        pixels: Arc::new(images.pixels),
        labels: labels.into_iter().map(u32::from).collect(),
    })
}

fn count_mismatch((images_path, images): (&Path, usize), (path, labels): (&Path, usize)) -> FileError {
    FileError::new(path, 0, FileProblem::Count { labels, images_path: images_path.to_owned(), images })
}

/// MNIST and Fashion-MNIST use the same file names and shapes; taking one for the other would go unnoticed.
fn refuse_other_set(name: Name, path: &Path) -> Result<(), FileError> {
    let length = path.metadata().map_or(0, |metadata| metadata.len());
    let others = Name::ALL.into_iter().filter(|&other| other != name);
    for (other, file) in others.flat_map(|other| other.files().iter().map(move |file| (other, file))) {
        if file.bytes == length && md5_of(path).is_ok_and(|md5| md5 == file.md5) {
            return Err(other_set(name, other, path));
        }
    }
    Ok(())
}

/// Looks at each of the four files, and at whether images and labels belong together.
pub(crate) fn check(name: Name, folders: &[PathBuf]) -> Vec<FileReport> {
    let places = name.places(folders);
    let (mut reports, mut counts) = (Vec::new(), [None; 4]);
    for (index, file) in name.files().iter().enumerate() {
        let path = file.find(&places);
        let published = PUBLISHED[index / 2];
        let status = path.as_deref().map_or(Status::Missing, |path| {
            if let Err(error) = refuse_other_set(name, path) {
                return Status::Damaged(error);
            }
            // A published file is not read at all.
            counts[index] = Some(published);
            examine(file, path, || {
                let content = content(name, index, path);
                counts[index] = content.as_ref().ok().map(|content| content.found);
                content
            })
        });
        let status = status.advise(&file.advice(name, folders));
        reports.push(FileReport { file: file.name.to_owned(), path, status });
    }
    for index in [0, 2] {
        let [Some(images), Some(labels)] = [counts[index], counts[index + 1]] else { continue };
        let [Some(images_path), Some(labels_path)] = [0, 1].map(|file| reports[index + file].path.as_deref())
        else {
            continue;
        };
        if images != labels {
            let error = count_mismatch((images_path, images), (labels_path, labels));
            let advice = name.files()[index + 1].advice(name, folders);
            reports[index + 1].status = Status::Damaged(error.advise(&advice));
        }
    }
    reports
}

/// What is in the file of this index among the four.
fn content(name: Name, index: usize, path: &Path) -> Result<Content, FileError> {
    let (published, unpacked) = (PUBLISHED[index / 2], catalogue::MNIST_UNPACKED[index]);
    if index % 2 == 1 {
        let labels = idx::read_labels(path, 10)?;
        let (found, header) = (labels.len(), idx::header(&[idx::LABELS, labels.len() as u32]));
        let same = sha256_of_bytes(&[&header, &labels]) == unpacked;
        let verified = (name == Name::Mnist && found >= published).then_some(same);
        return Ok(Content { found, published, what: "labels", verified });
    }
    let images = idx::read_images(path, Some((28, 28)))?;
    let header = idx::header(&[idx::IMAGES, images.count as u32, 28, 28]);
    let same = sha256_of_bytes(&[&header, &images.pixels]) == unpacked;
    if same && name != Name::Mnist {
        return Err(other_set(name, Name::Mnist, path));
    }
    let is_part =
        images.count < published && begins_as(name, &images.pixels, catalogue::MNIST_FIRST[index / 2]);
    let verified = (name == Name::Mnist && !is_part).then_some(same);
    Ok(Content { found: images.count, published, what: "images", verified })
}
