//! Which data sets exist, which files they are published as, and where those lie on disk and on the network.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Error;

/// The data sets that [`crate::load`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// MNIST: handwritten digits.
    Mnist,
    /// Fashion-MNIST: articles of clothing.
    FashionMnist,
    /// CIFAR-10: photographs of 10 kinds of things.
    Cifar10,
    /// CIFAR-100: photographs of 100 kinds of things.
    Cifar100,
    /// SVHN, cropped digits: house numbers in the street.
    Svhn,
    /// Tiny ImageNet: photographs of 200 kinds of things.
    TinyImagenet,
    /// A built-in set: digits of a few strokes, drawn from a seed.
    Strokes,
    /// A built-in set: textured shapes in colour, drawn from a seed.
    Scenes,
}

impl Name {
    /// All names, in the order they are listed.
    pub const ALL: [Name; 8] = [
        Name::Mnist,
        Name::FashionMnist,
        Name::Cifar10,
        Name::Cifar100,
        Name::Svhn,
        Name::TinyImagenet,
        Name::Strokes,
        Name::Scenes,
    ];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Mnist => "mnist",
            Name::FashionMnist => "fashion-mnist",
            Name::Cifar10 => "cifar10",
            Name::Cifar100 => "cifar100",
            Name::Svhn => "svhn",
            Name::TinyImagenet => "tiny-imagenet",
            Name::Strokes => "strokes",
            Name::Scenes => "scenes",
        }
    }

    /// Whether the set is drawn from a seed, in any size, and needs no file.
    pub fn is_built_in(self) -> bool {
        self.files().is_empty()
    }

    /// The files that [`crate::fetch()`] brings; none for a built-in set.
    pub fn files(self) -> &'static [PublishedFile] {
        match self {
            Name::Mnist => &MNIST,
            Name::FashionMnist => &FASHION_MNIST,
            Name::Cifar10 => &CIFAR10,
            Name::Cifar100 => &CIFAR100,
            Name::Svhn => &SVHN,
            Name::TinyImagenet => &TINY_IMAGENET,
            Name::Strokes | Name::Scenes => &[],
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
            Name::Cifar10 | Name::Cifar100 => &["https://www.cs.toronto.edu/~kriz/"],
            Name::Svhn => &["http://ufldl.stanford.edu/housenumbers/"],
            Name::TinyImagenet => &["http://cs231n.stanford.edu/"],
            Name::Strokes | Name::Scenes => &[],
        }
    }

    /// The folders in which the files are looked for: `dir/name`, then `dir`.
    pub fn folders(self, dir: &Path) -> [PathBuf; 2] {
        [dir.join(self.as_str()), dir.to_path_buf()]
    }

    /// [`Name::folders`] and, below them, the folders in which torchvision, Kaggle and people keep the set.
    pub(crate) fn places(self, folders: &[PathBuf]) -> Vec<PathBuf> {
        let root = match self {
            Name::Mnist => "MNIST",
            Name::FashionMnist => "FashionMNIST",
            _ => return folders.to_vec(),
        };
        let below = [
            String::new(),
            format!("{root}/raw"),
            format!("{root}/{root}/raw"),
            format!("{self}/raw"),
            root.to_owned(),
            "raw".to_owned(),
            "archive".to_owned(),
        ];
        let place = |folder: &PathBuf, below: &String| {
            below.split('/').fold(folder.clone(), |at, part| entry(&at, part))
        };
        folders
            .iter()
            .flat_map(|folder| below.iter().map(|below| place(folder, below)).collect::<Vec<_>>())
            .collect()
    }

    /// Files in `folders` that may hold a set in a form that is not read: where one is missing, they are named.
    pub(crate) fn not_read(folders: &[PathBuf]) -> Vec<PathBuf> {
        let is_published = |name: &str| {
            let files =
                Name::ALL.into_iter().flat_map(Name::files).chain([&CIFAR10_PYTHON, &CIFAR100_PYTHON]);
            let is = |published: &str| published.eq_ignore_ascii_case(name);
            files.into_iter().any(|file| is(file.name) || is(file.unpacked_name()))
        };
        let is_packed = |path: &Path| {
            let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
            extension.is_some_and(|extension| PACKED.contains(&extension.as_str()))
        };
        let files = folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
        let mut paths: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
        paths.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            is_packed(path) && !is_published(&name) && path.is_file()
        });
        paths.sort();
        paths.truncate(MOST_NAMED);
        paths
    }

    /// What to do when the files in one of [`Name::folders`] are not there or not good.
    pub(crate) fn advice(self, folders: &[PathBuf]) -> String {
        let dir = folders.last().map_or_else(String::new, |dir| dir.display().to_string());
        let plain = |c: char| c.is_alphanumeric() || "/._-:\\".contains(c);
        let quote = if dir.chars().all(plain) { "" } else { "'" };
        format!("get it with `ht data fetch {self} --data {quote}{dir}{quote}`")
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

/// How names end of files that people keep data sets in.
const PACKED: [&str; 20] = [
    "7z", "arrow", "bz2", "csv", "gz", "h5", "hdf5", "mat", "npy", "npz", "parquet", "pickle", "pkl", "pt",
    "pth", "rar", "tar", "tgz", "xz", "zip",
];
/// Files that are not read which one message names.
const MOST_NAMED: usize = 5;

/// A file as its authors publish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// Its name, packed.
    pub name: &'static str,
    /// Checksum of the packed file, as lower-case hexadecimal digits.
    pub md5: &'static str,
    /// Length of the packed file in bytes.
    pub bytes: u64,
}

impl PublishedFile {
    /// Its name, unpacked.
    pub fn unpacked_name(&self) -> &'static str {
        self.name.trim_end_matches(".gz")
    }

    /// Where the file lies, packed or not, in the first of `folders` that has it.
    ///
    /// In each, it may have a dot before `idx`, or lie in a folder of its own name, as from Kaggle.
    pub fn find(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        self.copies(folders).next()
    }

    /// All places where the file lies, the one that is read first.
    fn copies(&self, folders: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
        folders.iter().flat_map(|folder| self.places(folder)).filter(|path| is_there(path))
    }

    /// What to do when the file as it was found is damaged: another copy may be read instead.
    pub(crate) fn advice(&self, name: Name, folders: &[PathBuf]) -> String {
        let places = name.places(folders);
        let read = self.find(&places);
        match self.copies(&places).find(|copy| read.as_ref() != Some(copy)) {
            Some(other) => format!("move it away, and {} is read instead", other.display()),
            None => name.advice(folders),
        }
    }

    fn places(&self, folder: &Path) -> [PathBuf; 6] {
        let unpacked = self.unpacked_name();
        let dotted = unpacked.replace("-idx", ".idx");
        [
            entry(folder, self.name),
            entry(folder, unpacked),
            entry(folder, &self.name.replace("-idx", ".idx")),
            entry(folder, &dotted),
            entry(&entry(folder, unpacked), unpacked),
            entry(&entry(folder, &dotted), &dotted),
        ]
    }
}

/// The path of `name` in `folder`: as it is written, or as it lies there in capitals, as some programs and disks leave it.
pub(crate) fn entry(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    if name.is_empty() || path.symlink_metadata().is_ok() {
        return path;
    }
    let names = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.file_name());
    let same = names.filter(|found| found.to_str().is_some_and(|found| found.eq_ignore_ascii_case(name)));
    // The same one every time, whatever the order of the system.
    same.min().map_or(path, |found| folder.join(found))
}

/// Whether a file is there, or may be but cannot be looked at: then reading it tells why.
pub(crate) fn is_there(path: &Path) -> bool {
    match path.metadata() {
        Ok(metadata) => metadata.is_file(),
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

const fn file(name: &'static str, md5: &'static str, bytes: u64) -> PublishedFile {
    PublishedFile { name, md5, bytes }
}

// Images before labels, training before test: `mnist` relies on this order.
const MNIST: [PublishedFile; 4] = [
    file("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
    file("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
    file("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
    file("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
];

/// The SHA-256 of MNIST's files unpacked, in the order of the files: another program may have packed them anew.
pub(crate) const MNIST_UNPACKED: [&str; 4] = [
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
];

/// The SHA-256 of the pixels of MNIST's first training and first test image.
pub(crate) const MNIST_FIRST: [&str; 2] = [
    "23ceaef5eb61f0e70d64ac18fdf0f60df3d5971cf30bbadac7b6ebf07f782d2c",
    "8f6a418c9a639f9e14e96feca47a97df2a35a0a68ae2875431c5c80e05536941",
];

const FASHION_MNIST: [PublishedFile; 4] = [
    file("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
    file("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
    file("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
    file("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
];

const CIFAR10: [PublishedFile; 1] = [CIFAR10_BINARY];

const CIFAR100: [PublishedFile; 1] = [CIFAR100_BINARY];

pub(crate) const CIFAR10_BINARY: PublishedFile =
    file("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171);

pub(crate) const CIFAR10_PYTHON: PublishedFile =
    file("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", 170_498_071);

pub(crate) const CIFAR100_BINARY: PublishedFile =
    file("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 168_513_733);

pub(crate) const CIFAR100_PYTHON: PublishedFile =
    file("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", 169_001_437);

/// The md5 of the files of the Python layouts, as torchvision compares them: training before test.
pub(crate) const CIFAR10_BATCHES: [&str; 6] = [
    "c99cafc152244af753f735de768cd75f",
    "d4bba439e000b95fd0a9bffe97cbabec",
    "54ebc095f3ab1f0389bbae665268c751",
    "634d18415352ddfa80567beed471001a",
    "482c414d41f54cd18b22e5b47cb7c3cb",
    "40351d587109b95175f43aff81a1287e",
];

/// As [`CIFAR10_BATCHES`].
pub(crate) const CIFAR100_BATCHES: [&str; 2] =
    ["16019d7e3df5f24257cddd939b257f8d", "f0ef6b0ae62326f3e7ffdfab6717acfc"];

/// The SHA-256 of each of CIFAR-10's files, as label and pixels `[32, 32, 3]` image after image, in any layout: training
/// before test. Of the images of [`CIFAR10_LABELS_ONLY`] it has the labels alone.
pub(crate) const CIFAR10_CONTENT: [&str; 6] = [
    "d75a543540dbf1c8b992c6adc9e3cde503158c96f1e2ede5a5c672e29f9cd335",
    "824b2e4d323ab105ac914cf6276c5ee5566be32ed2b17b04b5e9094816d4b58f",
    "b46254700c20787d361fde069399e80d9a45ef7ed66a3e2efbbfc6d19c864b6d",
    "ee98f4db996d0280b73314f9bf205eb8b6c17e217da5894f0d06e7ae445a040b",
    "4edeee335e1aea8bdd5ad94cd15c1604989b43c37b19aca927ce1dc90f5935fd",
    "ddfb523d5a423270d0c9339524214ff6887797c0ff9154f0074b2a1a374906a4",
];

/// The images of [`CIFAR10_CONTENT`], by file, whose published pixels were not at hand where the digests were made.
pub(crate) const CIFAR10_LABELS_ONLY: [&[usize]; 6] = [
    &[4298, 5949, 7066, 7237, 7248, 7630, 8006, 8831, 8968, 9415],
    &[2762, 2834, 3546],
    &[1493, 5728, 6098, 6927, 7621, 8435, 8728, 9694, 9747],
    &[
        1066, 1367, 1462, 1625, 1663, 2777, 3641, 3661, 4067, 4276, 4387, 4825, 5160, 5646, 6733, 7329, 7474,
        7567, 8384, 8925, 9358, 9385, 9613, 9840, 9888, 9971,
    ],
    &[
        1779, 2004, 2389, 2611, 3357, 3883, 4882, 5168, 5240, 6175, 6435, 6538, 6624, 7393, 7597, 8081, 8124,
        8333, 8821, 8836, 9321, 9429, 9631, 9830, 9857,
    ],
    &[
        1259, 1369, 1422, 2245, 2737, 2935, 3695, 3718, 4085, 4496, 5791, 5896, 6286, 7580, 7707, 7724, 7832,
        8117, 8551, 9254,
    ],
];

// Training before test: `svhn` relies on this order.
const SVHN: [PublishedFile; 2] = [
    file("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", 182_040_794),
    file("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", 64_275_384),
];

const TINY_IMAGENET: [PublishedFile; 1] =
    [file("tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de", 248_100_043)];
