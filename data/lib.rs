//! Data sets as bytes, labels and indices.
//!
//! Architecture invariants of this crate:
//!
//! - It knows no engine, no tensor, no model and no experiment. Everything it hands out is a plain `Vec` of bytes,
//!   labels or indices, so any of the layers above may use it and none is needed to test it.
//! - It prints nothing and draws no progress: [`fetch()`] reports to a callback, everything else returns a value or a
//!   typed [`Error`] that names the file, the byte and the remedy.
//! - Pixels stay the bytes of the published files, `[len, H, W, C]`. Scaling to \[0, 1\] and normalising with
//!   [`DataSet::mean`] and [`DataSet::std`] belong to whoever feeds a network.
//! - Every random choice is a function of a seed, a purpose and an index ([`random`]). No result depends on
//!   the clock, the platform or the number of threads.
//! - The network is touched only by [`fetch()`], never by [`load`]. [`load`] writes one file: the cache of decoded
//!   images beside Tiny ImageNet ([`tiny_imagenet`]).
//!
//! ```
//! use data::{LoadOptions, load, noise::NoiseKind};
//!
//! let options = LoadOptions { train: 200, test: 50, ..LoadOptions::default() };
//! let set = load("strokes", std::path::Path::new("unused"), &options)?;
//! let chunks = data::phase_chunks(set.train.len(), &[0.1, 0.9], 1);
//! let first: Vec<u32> = chunks[0].iter().map(|&index| set.train.labels[index as usize]).collect();
//! let noisy = data::noisy_labels(&first, set.train.classes, 0.5, NoiseKind::ExcludeTrue, 1, 0);
//! assert_eq!(noisy.iter().zip(&first).filter(|(a, b)| a != b).count(), 10);
//! # Ok::<(), data::Error>(())
//! ```

#[cfg(test)]
#[path = "../tests/common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
pub mod catalogue;
pub mod check;
mod checksum;
pub mod cifar;
pub mod describe;
pub mod dither;
mod downsample;
mod drawing;
pub mod error;
mod examine;
pub mod fetch;
mod identity;
pub mod idx;
mod input;
mod kind;
mod mat;
mod mnist;
#[cfg(test)]
#[path = "../tests/common/mutate.rs"]
#[allow(dead_code, unreachable_pub)]
mod mutate;
pub mod noise;
mod parallel;
mod pickle;
pub mod random;
pub mod scenes;
pub mod strokes;
pub mod subset;
pub mod svhn;
mod tar;
#[cfg(test)]
mod testing;
pub mod tiny_imagenet;
mod zip;

use std::path::Path;
use std::sync::Arc;

pub use catalogue::Name;
pub use check::check;
pub use describe::{Description, list};
pub use error::Error;
pub use fetch::fetch;
pub use identity::Origin;
pub use noise::{NoiseKind, noisy_labels};
pub use subset::{accumulate, phase_chunks};

/// Images of one size with a label each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// What the images are, such as `mnist train`.
    pub name: String,
    /// Rows of an image, H.
    pub height: usize,
    /// Columns of an image, W.
    pub width: usize,
    /// Channels of a pixel, C: 1 for grey.
    pub channels: usize,
    /// Number of classes; every label is below it.
    pub classes: usize,
    /// All pixels, `[len, H, W, C]`. Shared, so that devices that use the host's memory need no copy.
    pub pixels: Arc<Vec<u8>>,
    /// The class of each image, `[len]`.
    pub labels: Vec<u32>,
}

impl Images {
    /// None at all, of no size: for what needs no images.
    pub fn none() -> Self {
        Self {
            name: "no images".into(),
            height: 0,
            width: 0,
            channels: 0,
            classes: 0,
            pixels: Arc::default(),
            labels: Vec::new(),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image, H * W * C.
    pub fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The pixels of image `index`, `[H, W, C]`.
    ///
    /// # Panics
    /// If `index` is not below [`Images::len`].
    pub fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.image_len()..][..self.image_len()]
    }
}

/// A training set, its test set, and the statistics to normalise both with.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// The images to train on.
    pub train: Images,
    /// The images to test on; drawn from the same source, none of them in `train`.
    pub test: Images,
    /// Mean of each channel of the training pixels, scaled to \[0, 1\]: `[C]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel of the training pixels, scaled to \[0, 1\]: `[C]`.
    pub std: Vec<f32>,
    /// What the released Hare & Tortoise code normalises test images with: [`DataSet::mean`], but for CIFAR-100 the mean of
    /// the test pixels. `[C]`.
    pub test_mean: Vec<f32>,
    /// As [`DataSet::test_mean`]: [`DataSet::std`], but for CIFAR-100 that of the test pixels. `[C]`.
    pub test_std: Vec<f32>,
    /// Where the images come from.
    pub origin: Origin,
    /// What a person should know of the files that were taken, such as that others are incomplete.
    pub note: Option<String>,
}

impl DataSet {
    /// A set of unverified origin whose halves are normalised alike.
    pub fn new(train: Images, test: Images, mean: &[f32], std: &[f32]) -> Self {
        let (mean, std) = (mean.to_vec(), std.to_vec());
        Self {
            train,
            test,
            test_mean: mean.clone(),
            test_std: std.clone(),
            mean,
            std,
            origin: Origin::default(),
            note: None,
        }
    }
}

fn built_in(set: DataSet) -> DataSet {
    DataSet { origin: Origin::BuiltIn, ..set }
}

/// The largest built-in set that is drawn.
const LARGEST: usize = 10_000_000;

/// What [`load`] needs to know beyond the name and the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Seed a built-in set is drawn from. Published sets ignore it.
    pub seed: u64,
    /// Number of training images of a built-in set. Published sets ignore it.
    pub train: usize,
    /// Number of test images of a built-in set. Published sets ignore it.
    pub test: usize,
    /// Height and width of a built-in set's images: [`strokes::SIDE`], or one of [`scenes::SIDES`]. `None` is the usual
    /// one. Published sets ignore it.
    pub side: Option<usize>,
    /// Threads that draw a built-in set or decode images, at least 1. The images do not depend on it.
    pub threads: usize,
}

impl Default for LoadOptions {
    /// Seed 0, 10,000 training and 2,000 test images of the usual side, one thread per available core.
    fn default() -> Self {
        Self { seed: 0, train: 10_000, test: 2_000, side: None, threads: available_threads() }
    }
}

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl LoadOptions {
    /// The side of the images to draw, the first of `sides` if none is asked for.
    fn check(&self, name: Name, sides: &'static [usize]) -> Result<usize, Error> {
        for (option, requested) in [("train", self.train), ("test", self.test)] {
            if requested == 0 || requested > LARGEST {
                return Err(Error::Size { option, requested, limit: LARGEST });
            }
        }
        match self.side {
            None => Ok(sides[0]),
            Some(side) if sides.contains(&side) => Ok(side),
            Some(requested) => Err(Error::Side { name: name.as_str(), requested, possible: sides }),
        }
    }
}

/// Loads the data set called `name`: one of [`list`].
///
/// The files of a published set are looked for in `dir/name`, then in `dir` itself, packed as they are published or
/// unpacked. Images come in the order of the files, those of Tiny ImageNet class by class in turn; the released
/// Hare & Tortoise code reads folders sorted by class. The order does not matter to an experiment, because
/// [`phase_chunks`] draws its indices uniformly; it does to whoever takes the first so many images.
/// The built-in sets are drawn from `options` and read no file.
///
/// # Errors
/// [`Error::UnknownName`]; [`Error::Missing`] if a file is not there; [`Error::File`] if one is damaged, or if images and
/// labels do not belong together; [`Error::Size`] and [`Error::Side`] for an unusable size of a built-in set.
pub fn load(name: &str, dir: &Path, options: &LoadOptions) -> Result<DataSet, Error> {
    let name: Name = name.parse()?;
    let folders = name.folders(dir);
    match name {
        Name::Mnist | Name::FashionMnist => mnist::load(name, &folders),
        Name::Cifar10 | Name::Cifar100 => cifar::load(name, &folders),
        Name::Svhn => svhn::load(&folders),
        Name::TinyImagenet => tiny_imagenet::load(&folders, options.threads),
        Name::Strokes => strokes::load(options).map(built_in),
        Name::Scenes => scenes::load(options).map(built_in),
    }
}
