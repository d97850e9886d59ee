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
//! - The network is touched only by [`fetch()`], never by [`load`].
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

pub mod catalogue;
pub mod check;
pub mod dither;
pub mod error;
pub mod fetch;
pub mod idx;
pub mod noise;
pub mod random;
pub mod strokes;
pub mod subset;

use std::path::Path;

pub use catalogue::{Description, Name, list};
pub use check::check;
pub use error::Error;
pub use fetch::fetch;
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
    /// All pixels, `[len, H, W, C]`.
    pub pixels: Vec<u8>,
    /// The class of each image, `[len]`.
    pub labels: Vec<u32>,
}

impl Images {
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
}

/// What [`load`] needs to know beyond the name and the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Seed the built-in set is drawn from. Published sets ignore it.
    pub seed: u64,
    /// Number of training images of the built-in set. Published sets ignore it.
    pub train: usize,
    /// Number of test images of the built-in set. Published sets ignore it.
    pub test: usize,
    /// Threads that draw the built-in set, at least 1. The images do not depend on it.
    pub threads: usize,
}

impl Default for LoadOptions {
    /// Seed 0, 10,000 training and 2,000 test images, one thread per available core.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { seed: 0, train: 10_000, test: 2_000, threads }
    }
}

/// Loads the data set called `name`: one of [`list`].
///
/// The files of a published set are looked for in `dir/name`, then in `dir` itself, each packed (`.gz`) or unpacked.
/// `strokes` is drawn from `options` and reads no file.
///
/// # Errors
/// [`Error::UnknownName`]; [`Error::Missing`] if a file is not there; [`Error::File`] if one is damaged;
/// [`Error::CountMismatch`] if images and labels do not belong together; [`Error::Size`] for an unusable size of the
/// built-in set.
pub fn load(name: &str, dir: &Path, options: &LoadOptions) -> Result<DataSet, Error> {
    match name.parse()? {
        Name::Strokes => strokes::load(options),
        published @ (Name::Mnist | Name::FashionMnist) => catalogue::load_published(published, dir),
    }
}
