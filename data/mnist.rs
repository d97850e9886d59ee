//! MNIST and Fashion-MNIST: four IDX files each, packed with gzip or not.

use std::path::{Path, PathBuf};

use crate::catalogue::{Name, PublishedFile};
use crate::check::{FileReport, Status, examine, md5_of};
use crate::error::{FileError, FileProblem};
use crate::{DataSet, Error, Images, idx};

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
    let advice = name.advice(folders);
    let [train_images, train_labels, test_images, test_labels] = found.as_slice() else {
        return Err(Error::Missing {
            name: name.as_str(),
            missing,
            forms: "each looked for as FILE.gz and FILE".to_owned(),
            looked_in: folders.to_vec(),
            advice,
        });
    };
    let (mean, std) = match name {
        Name::FashionMnist => (0.2860, 0.3530),
        _ => (0.1307, 0.3081),
    };
    let train = load_half(name, "train", train_images, train_labels, &advice)?;
    let test = load_half(name, "test", test_images, test_labels, &advice)?;
    Ok(DataSet::new(train, test, &[mean], &[std]))
}

fn load_half(
    name: Name,
    half: &str,
    images_path: &Path,
    labels_path: &Path,
    advice: &str,
) -> Result<Images, Error> {
    for path in [images_path, labels_path] {
        refuse_other_set(name, path, advice)?;
    }
    let images = idx::read_images(images_path, Some((28, 28))).map_err(|error| error.advise(advice))?;
    let labels = idx::read_labels(labels_path, 10).map_err(|error| error.advise(advice))?;
    if images.count != labels.len() {
        return Err(Error::CountMismatch {
            images_path: images_path.to_path_buf(),
            images: images.count,
            labels_path: labels_path.to_path_buf(),
            labels: labels.len(),
            advice: advice.to_owned(),
        });
    }
    Ok(Images {
        name: format!("{name} {half}"),
        height: images.height,
        width: images.width,
        channels: 1,
        classes: 10,
        pixels: images.pixels,
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
    let counts = [("images", 60_000), ("labels", 60_000), ("images", 10_000), ("labels", 10_000)];
    let places = name.folders_and_torchvision(folders);
    let look = |(file, (what, examples)): (&PublishedFile, (&'static str, usize))| {
        let path = file.find(&places);
        let status = path.as_deref().map_or(Status::Missing, |path| {
            examine(file, path, || {
                let found = match what {
                    "images" => idx::read_images(path, Some((28, 28)))?.count,
                    _ => idx::read_labels(path, 10)?.len(),
                };
                if path.ends_with(file.name) || found == examples {
                    return Ok(());
                }
                // The count came from a 32-bit word.
                let (expected, found) = (examples.to_string(), found as u32);
                Err(FileError::new(path, 4, FileProblem::Dimension { what, expected, found }))
            })
        });
        FileReport { file: file.name.to_owned(), path, status: status.advise(&name.advice(folders)) }
    };
    name.files().iter().zip(counts).map(look).collect()
}
