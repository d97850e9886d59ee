//! Which data sets exist, which files they consist of, and where those lie on disk and on the network.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::check::md5_of;
use crate::error::{FileError, FileProblem, Position};
use crate::{DataSet, Error, Images, idx};

/// The data sets that [`crate::load`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// MNIST: handwritten digits.
    Mnist,
    /// Fashion-MNIST: articles of clothing.
    FashionMnist,
    /// The built-in set: digits of a few strokes, drawn from a seed.
    Strokes,
}

impl Name {
    /// All names, in the order they are listed.
    pub const ALL: [Name; 3] = [Name::Mnist, Name::FashionMnist, Name::Strokes];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Mnist => "mnist",
            Name::FashionMnist => "fashion-mnist",
            Name::Strokes => "strokes",
        }
    }

    /// The published files of the set; none for the built-in one.
    pub fn files(self) -> &'static [PublishedFile] {
        match self {
            Name::Mnist => &MNIST,
            Name::FashionMnist => &FASHION_MNIST,
            Name::Strokes => &[],
        }
    }

    /// Addresses of the folders that serve the files, best first.
    pub fn mirrors(self) -> &'static [&'static str] {
        match self {
            Name::Mnist => &[
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ],
            Name::FashionMnist => &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
            Name::Strokes => &[],
        }
    }

    /// The folders in which the files are looked for: `dir/name`, then `dir`.
    pub fn folders(self, dir: &Path) -> [PathBuf; 2] {
        [dir.join(self.as_str()), dir.to_path_buf()]
    }

    /// What to do when the files are not there or not good.
    pub(crate) fn advice(self) -> String {
        format!("get it with `ht data fetch {self}`")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(name) = Name::ALL.into_iter().find(|name| name.as_str() == text) {
            return Ok(name);
        }
        let lower = text.to_lowercase();
        let similarity = |name: &str| strsim::normalized_damerau_levenshtein(&lower, name);
        let nearest = Name::ALL
            .map(Name::as_str)
            .into_iter()
            .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
            .filter(|name| similarity(name) >= 0.4);
        Err(Error::UnknownName {
            name: text.to_owned(),
            nearest,
            known: Name::ALL.map(Name::as_str).to_vec(),
        })
    }
}

/// A file as its authors publish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// Its name, packed: it ends in `.gz`.
    pub name: &'static str,
    /// Checksum of the packed file, as lower-case hexadecimal digits.
    pub md5: &'static str,
    /// Length of the packed file in bytes.
    pub bytes: u64,
    /// What is in it.
    pub content: Content,
    /// Number of examples.
    pub examples: usize,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Images, `[len, 28, 28]`.
    Images,
    /// Labels 0 to 9, `[len]`.
    Labels,
}

impl PublishedFile {
    /// Its name, unpacked.
    pub fn unpacked_name(&self) -> &'static str {
        self.name.trim_end_matches(".gz")
    }

    /// Where the file lies, packed or not, in the first of `folders` that has it.
    pub fn find(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        folders
            .iter()
            .flat_map(|folder| [folder.join(self.name), folder.join(self.unpacked_name())])
            .find(|path| path.is_file())
    }
}

const fn file(
    name: &'static str,
    md5: &'static str,
    bytes: u64,
    content: Content,
    examples: usize,
) -> PublishedFile {
    PublishedFile { name, md5, bytes, content, examples }
}

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte.gz";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte.gz";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte.gz";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte.gz";

// Images before labels, training before test: `load_published` relies on this order.
const MNIST: [PublishedFile; 4] = [
    file(TRAIN_IMAGES, "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422, Content::Images, 60_000),
    file(TRAIN_LABELS, "d53e105ee54ea40749a09fcbcd1e9432", 28_881, Content::Labels, 60_000),
    file(TEST_IMAGES, "9fb629c4189551a2d022fa330f9573f3", 1_648_877, Content::Images, 10_000),
    file(TEST_LABELS, "ec29112dd5afa0611ce80d1b7f02629c", 4_542, Content::Labels, 10_000),
];

const FASHION_MNIST: [PublishedFile; 4] = [
    file(TRAIN_IMAGES, "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880, Content::Images, 60_000),
    file(TRAIN_LABELS, "25c81989df183df01b3e8a0aad5dffbe", 29_515, Content::Labels, 60_000),
    file(TEST_IMAGES, "bef4ecab320f06d8554ea6380940ec79", 4_422_102, Content::Images, 10_000),
    file(TEST_LABELS, "bb300cfdad3c16e7a12a480ee83cd310", 5_148, Content::Labels, 10_000),
];

/// Loads MNIST or Fashion-MNIST from `dir`; see [`crate::load`].
pub(crate) fn load_published(name: Name, dir: &Path) -> Result<DataSet, Error> {
    let folders = name.folders(dir);
    let found: Vec<Option<PathBuf>> = name.files().iter().map(|file| file.find(&folders)).collect();
    let missing: Vec<&str> = name
        .files()
        .iter()
        .zip(&found)
        .filter(|(_, at)| at.is_none())
        .map(|(f, _)| f.unpacked_name())
        .collect();
    let found: Vec<PathBuf> = found.into_iter().flatten().collect();
    let [train_images, train_labels, test_images, test_labels] = found.as_slice() else {
        let advice = name.advice();
        return Err(Error::Missing { name: name.as_str(), missing, looked_in: folders.to_vec(), advice });
    };
    let (mean, std) = match name {
        Name::FashionMnist => (0.2860, 0.3530),
        _ => (0.1307, 0.3081),
    };
    Ok(DataSet {
        train: load_half(name, "train", train_images, train_labels)?,
        test: load_half(name, "test", test_images, test_labels)?,
        mean: vec![mean],
        std: vec![std],
    })
}

fn load_half(name: Name, half: &str, images_path: &Path, labels_path: &Path) -> Result<Images, Error> {
    for path in [images_path, labels_path] {
        refuse_other_set(name, path)?;
    }
    let images = idx::read_images(images_path, Some((28, 28))).map_err(|error| error.advise(name))?;
    let labels = idx::read_labels(labels_path, 10).map_err(|error| error.advise(name))?;
    if images.count != labels.len() {
        return Err(Error::CountMismatch {
            images_path: images_path.to_path_buf(),
            images: images.count,
            labels_path: labels_path.to_path_buf(),
            labels: labels.len(),
            advice: name.advice(),
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
fn refuse_other_set(name: Name, path: &Path) -> Result<(), Error> {
    let length = path.metadata().map_or(0, |metadata| metadata.len());
    let others = Name::ALL.into_iter().filter(|&other| other != name);
    for (other, file) in others.flat_map(|other| other.files().iter().map(move |file| (other, file))) {
        if file.bytes == length && md5_of(path).is_ok_and(|md5| md5 == file.md5) {
            return Err(Error::File(FileError {
                path: path.to_path_buf(),
                at: Position { byte: 0, unpacked: false },
                problem: FileProblem::OtherSet { expected: name.as_str(), found: other.as_str() },
                advice: format!("keep each set in a folder of its own name; {}", name.advice()),
            }));
        }
    }
    Ok(())
}

/// What a person wants to know about a data set before using it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: Name,
    /// What it shows, in a few words.
    pub content: &'static str,
    /// Shape of an image: height, width, channels.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Number of training images; of the built-in set, by default.
    pub train: usize,
    /// Number of test images; of the built-in set, by default.
    pub test: usize,
    /// Who made it, and where it is downloaded from.
    pub source: String,
    /// What is known about its licence.
    pub licence: &'static str,
    /// Number of files; 0 if it is built in.
    pub files: usize,
    /// Bytes to download.
    pub bytes: u64,
}

/// All data sets, built-in and published.
pub fn list() -> Vec<Description> {
    Name::ALL.into_iter().map(describe).collect()
}

fn describe(name: Name) -> Description {
    let options = crate::LoadOptions::default();
    let (content, source, licence, train, test) = match name {
        Name::Mnist => (
            "handwritten digits",
            format!("LeCun, Cortes, Burges 1998; {}", name.mirrors().join(", ")),
            "none stated by the authors; often passed on under CC BY-SA 3.0",
            60_000,
            10_000,
        ),
        Name::FashionMnist => (
            "articles of clothing",
            format!("Xiao, Rasul, Vollgraf 2017 (Zalando); {}", name.mirrors().join(", ")),
            "MIT",
            60_000,
            10_000,
        ),
        Name::Strokes => (
            "digits of a few strokes among clutter",
            "built in, drawn from a seed".to_owned(),
            "that of this program",
            options.train,
            options.test,
        ),
    };
    let files = name.files();
    let bytes = files.iter().map(|file| file.bytes).sum();
    Description {
        name,
        content,
        shape: [28, 28, 1],
        classes: 10,
        train,
        test,
        source,
        licence,
        files: files.len(),
        bytes,
    }
}
