//! SVHN, cropped digits (Netzer, Wang, Coates, Bissacco, Wu and Ng, *Reading Digits in Natural Images with Unsupervised
//! Feature Learning*, 2011): `train_32x32.mat` and `test_32x32.mat`.
//!
//! Each is a MATLAB 5 file of two arrays: `X`, bytes `[32, 32, 3, len]` with the first index, the row, changing fastest,
//! and `y`, the labels 1 to 10, of which 10 stands for the digit 0.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::PublishedFile;
use crate::error::{FileError, FileProblem, Position};
use crate::examine::{Content, FileReport, Status, examine};
use crate::identity::Half;
use crate::input::Input;
use crate::mat::{self, Array};
use crate::{DataSet, Error, Images, Name, Origin};

/// Height and width of an image.
pub const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const IMAGE: usize = 3 * PLANE;
const CLASSES: usize = 10;
/// Numbers of images in the published files.
const PUBLISHED: [usize; 2] = [73_257, 26_032];

/// Loads SVHN; see [`crate::load`]. Mean and standard deviation are those of the training images.
pub(crate) fn load(folders: &[PathBuf]) -> Result<DataSet, Error> {
    let files = Name::Svhn.files();
    let found = files.iter().map(|file| file.find(folders));
    let missing: Vec<&str> =
        files.iter().zip(found.clone()).filter(|(_, at)| at.is_none()).map(|(file, _)| file.name).collect();
    let found: Vec<PathBuf> = found.flatten().collect();
    let [train_path, test_path] = found.as_slice() else {
        return Err(Error::Missing {
            name: Name::Svhn,
            missing,
            forms: "looked for".into(),
            looked_in: folders.to_vec(),
            not_read: Name::not_read(folders).into(),
            advice: Name::Svhn.advice(folders),
        });
    };
    let half = |path, name: &str, file: &PublishedFile| {
        read(path, name).map_err(|error| error.advise(&file.advice(Name::Svhn, folders)))
    };
    let (train, train_md5) = half(train_path, "svhn train", &files[0])?;
    let (test, test_md5) = half(test_path, "svhn test", &files[1])?;
    let verified = [train_md5 == files[0].md5, test_md5 == files[1].md5].map(|same| same.then_some(true));
    let origin = Origin::of(&Half::both([train.len(), test.len()], PUBLISHED, verified));
    let set = DataSet::new(train, test, &[0.4377, 0.4438, 0.4728], &[0.1980, 0.2010, 0.1970]);
    Ok(DataSet { origin, ..set })
}

/// Looks at both files.
pub(crate) fn check(folders: &[PathBuf]) -> Vec<FileReport> {
    let files = Name::Svhn.files().iter().zip(PUBLISHED);
    let look = |(file, expected): (&PublishedFile, usize)| {
        let path = file.find(folders);
        let status = path.as_deref().map_or(Status::Missing, |path| {
            examine(file, path, || {
                let found = read(path, "")?.0.len();
                Ok(Content { found, published: expected, what: "images", verified: None })
            })
        });
        FileReport {
            file: file.name.to_owned(),
            path,
            status: status.advise(&file.advice(Name::Svhn, folders)),
        }
    };
    files.map(look).collect()
}

/// The images of a file, and its MD5.
fn read(path: &Path, name: &str) -> Result<(Images, String), FileError> {
    let mut input = Input::open_hashed(path)?;
    let mut arrays = mat::arrays(path, &mut input, &["X", "y"])?;
    let mut find = |name: &str| {
        let Some(index) = arrays.iter().position(|array| array.name == name) else {
            let end = input.length();
            return Err(FileError::format(path, end, format!("an array `{name}`"), "the end of the file"));
        };
        Ok(arrays.swap_remove(index))
    };
    let (mut x, y) = (find("X")?, find("y")?);
    let labels = labels(path, &y)?;
    let expected = [SIDE, SIDE, 3, labels.len()];
    // MATLAB drops a last dimension of 1.
    let fits = x.shape == expected || (labels.len() == 1 && x.shape == expected[..3]);
    if !fits || x.kind != mat::UINT8 || x.bytes.len() != labels.len() * IMAGE {
        let found = format!("{:?}, {} bytes stored as kind {}", x.shape, x.bytes.len(), x.kind);
        let expected = format!("unsigned bytes of shape {expected:?} in `X`");
        return Err(FileError { at: x.at, ..FileError::format(path, 0, expected, found) });
    }
    let mut columns = [0; IMAGE];
    for image in x.bytes.chunks_exact_mut(IMAGE) {
        columns.copy_from_slice(image);
        for (index, &byte) in columns.iter().enumerate() {
            let (channel, column, row) = (index / PLANE, index / SIDE % SIDE, index % SIDE);
            image[(row * SIDE + column) * 3 + channel] = byte;
        }
    }
    let images = Images {
        name: name.to_owned(),
        height: SIDE,
        width: SIDE,
        channels: 3,
        classes: CLASSES,
        pixels: Arc::new(x.bytes),
        labels,
    };
    let end = input.length();
    let md5 = input.md5().map_err(|error| FileError::new(path, end, FileProblem::reading(error)))?;
    Ok((images, md5))
}

/// Labels 1 to 10 as the digits 1 to 9 and 0.
fn labels(path: &Path, y: &Array) -> Result<Vec<u32>, FileError> {
    let wrong = |byte: u64, expected: &str, found: String| FileError {
        at: Position { byte, ..y.at },
        ..FileError::format(path, byte, expected, found)
    };
    let (values, width): (Vec<f64>, usize) = match y.kind {
        mat::UINT8 => (y.bytes.iter().map(|&byte| f64::from(byte)).collect(), 1),
        mat::DOUBLE => {
            let double = |bytes: &[u8]| f64::from_le_bytes(std::array::from_fn(|index| bytes[index]));
            (y.bytes.chunks_exact(8).map(double).collect(), 8)
        }
        kind => {
            let found = format!("kind {kind}");
            return Err(wrong(y.at.byte, "bytes or 64-bit floats in `y`", found));
        }
    };
    let digit = |(index, &value): (usize, &f64)| {
        if (1.0..=10.0).contains(&value) && value.fract() == 0.0 {
            return Ok(value as u32 % 10);
        }
        let byte = y.at.byte + (index * width) as u64;
        Err(wrong(byte, "a label of 1 to 10 in `y`", value.to_string()))
    };
    if values.is_empty() {
        return Err(wrong(y.at.byte, "at least one label in `y`", "none".to_owned()));
    }
    values.iter().enumerate().map(digit).collect()
}

#[cfg(test)]
mod tests;
