//! MNIST and Fashion-MNIST: four IDX files each, packed with gzip or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::{self, Name, PublishedFile};
use crate::checksum::{md5_of, sha256_of_bytes};
use crate::error::{FileError, FileProblem};
use crate::examine::{Content, FileReport, Status, examine};
use crate::{DataSet, Error, Images, Origin, idx};

/// Numbers of training and test images of the published sets.
const PUBLISHED: [usize; 2] = [60_000, 10_000];
/// Pixels of an image.
const IMAGE: usize = 28 * 28;

/// Loads MNIST or Fashion-MNIST; see [`crate::load`].
pub(crate) fn load(name: Name, folders: &[PathBuf]) -> Result<DataSet, Error> {
    let places = name.folders_and_torchvision(folders);
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
            name: name.as_str(),
            missing,
            forms: "each looked for as FILE.gz and FILE".to_owned(),
            looked_in: folders.to_vec(),
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
    let counts = [(train.len(), PUBLISHED[0]), (test.len(), PUBLISHED[1])];
    let whole = counts.iter().all(|(found, published)| found == published);
    let verified = if whole {
        verify(name, &found, [&train, &test])?
    } else {
        let as_published = |(half, first): (&Images, &str)| begins_as(name, &half.pixels, first);
        let other = [&train, &test].into_iter().zip(catalogue::MNIST_FIRST).any(|half| !as_published(half));
        other.then_some(false)
    };
    Ok(DataSet { origin: Origin::of(&counts, verified), ..DataSet::new(train, test, &[mean], &[std]) })
}

/// Whether a whole set is the published one: by its unpacked content where the checksum of that is known, or else by the
/// files.
fn verify(name: Name, paths: &[PathBuf], halves: [&Images; 2]) -> Result<Option<bool>, Error> {
    let unpacked = halves.iter().flat_map(|images| {
        let header = idx::header(&[idx::IMAGES, images.len() as u32, 28, 28]);
        [sha256_of_bytes(&[&header, &images.pixels]), sha256_of_bytes(&[&idx::label_file(images)])]
    });
    let mut is_mnist = unpacked.zip(catalogue::MNIST_UNPACKED).map(|(found, published)| found == published);
    if name == Name::Mnist {
        return Ok(Some(is_mnist.all(|same| same)));
    }
    if is_mnist.next() == Some(true) {
        let problem = FileProblem::OtherSet { expected: name.as_str(), found: Name::Mnist.as_str() };
        let advice = "keep each set in a folder of its own name".to_owned();
        return Err(FileError { advice, ..FileError::new(&paths[0], 0, problem) }.into());
    }
    let packed =
        name.files().iter().zip(paths).map(|(file, path)| md5_of(path).ok().as_deref() == Some(file.md5));
    // Files that were unpacked, or packed anew, may well be the same images.
    Ok(packed.into_iter().all(|same| same).then_some(true))
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
    for (path, advice) in [(images_path, &images_advice), (labels_path, &labels_advice)] {
        refuse_other_set(name, path, advice)?;
    }
    let images =
        idx::read_images(images_path, Some((28, 28))).map_err(|error| error.advise(&images_advice))?;
    let labels = idx::read_labels(labels_path, 10).map_err(|error| error.advise(&labels_advice))?;
    if images.count != labels.len() {
        return Err(Error::CountMismatch {
            images_path: images_path.to_path_buf(),
            images: images.count,
            labels_path: labels_path.to_path_buf(),
            labels: labels.len(),
            advice: images_advice,
        });
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

/// MNIST and Fashion-MNIST use the same file names and shapes; taking one for the other would go unnoticed.
fn refuse_other_set(name: Name, path: &Path, advice: &str) -> Result<(), Error> {
    let length = path.metadata().map_or(0, |metadata| metadata.len());
    let others = Name::ALL.into_iter().filter(|&other| other != name);
    for (other, file) in others.flat_map(|other| other.files().iter().map(move |file| (other, file))) {
        if file.bytes == length && md5_of(path).is_ok_and(|md5| md5 == file.md5) {
            let problem = FileProblem::OtherSet { expected: name.as_str(), found: other.as_str() };
            let advice = format!("keep each set in a folder of its own name; {advice}");
            return Err(FileError { advice, ..FileError::new(path, 0, problem) }.into());
        }
    }
    Ok(())
}

/// Looks at each of the four files.
pub(crate) fn check(name: Name, folders: &[PathBuf]) -> Vec<FileReport> {
    let [train, test] = PUBLISHED;
    let counts = [("images", train), ("labels", train), ("images", test), ("labels", test)];
    let places = name.folders_and_torchvision(folders);
    let look = |((file, (what, published)), unpacked): ((&PublishedFile, (&'static str, usize)), &str)| {
        let path = file.find(&places);
        let status = path.as_deref().map_or(Status::Missing, |path| {
            examine(file, path, || {
                let mut begins = true;
                let (found, content) = match what {
                    "images" => {
                        let images = idx::read_images(path, Some((28, 28)))?;
                        let header = idx::header(&[idx::IMAGES, images.count as u32, 28, 28]);
                        let first = catalogue::MNIST_FIRST[usize::from(published == test)];
                        begins = begins_as(name, &images.pixels, first);
                        (images.count, sha256_of_bytes(&[&header, &images.pixels]))
                    }
                    _ => {
                        let labels = idx::read_labels(path, 10)?;
                        let header = idx::header(&[idx::LABELS, labels.len() as u32]);
                        (labels.len(), sha256_of_bytes(&[&header, &labels]))
                    }
                };
                let is_part = found < published && begins;
                let verified = (name == Name::Mnist && !is_part).then_some(content == unpacked);
                Ok(Content { found, published, what, verified })
            })
        });
        FileReport { file: file.name.to_owned(), path, status: status.advise(&file.advice(name, folders)) }
    };
    name.files().iter().zip(counts).zip(catalogue::MNIST_UNPACKED).map(look).collect()
}
