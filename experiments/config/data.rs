//! `[data]`: which images, how many, and how they are prepared.

use super::check::refused;
use super::{Error, Fidelity};
use serde::{Deserialize, Serialize};

/// The data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// One of `ht data list`.
    pub set: String,
    /// Training images to use, from the front of the set; 0 means all.
    pub train: usize,
    /// Test images to use; 0 means all.
    pub test: usize,
    /// Side of the squares of pixels that are averaged into one: 1, 2 or 4. `model.image_size` is the smaller size.
    pub downsample: usize,
    /// Crop and flip the training images at random: 4 black pixels on every side, a window of the old size anywhere, and
    /// a mirror image half of the time.
    pub augment: bool,
    /// Black and white by error diffusion, as the released code stores MNIST.
    pub dither: bool,
    /// Mean that is subtracted, per channel, of pixels in [0, 1]; empty means the set's own.
    pub mean: Vec<f64>,
    /// Standard deviation that divides; empty means the set's own.
    pub std: Vec<f64>,
    /// Which of the set's own statistics normalise test images.
    pub test_statistics: TestStatistics,
}

/// Which statistics normalise test images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestStatistics {
    /// Those of the training images.
    Train,
    /// The test set's own, where the released code has some (CIFAR-100).
    Test,
}

impl Data {
    /// The whole of a set.
    pub(super) fn defaults(fidelity: Fidelity, set: &str) -> Self {
        let code = fidelity == Fidelity::Code;
        let as_code_stores_mnist = code && set == "mnist";
        Self {
            set: set.into(),
            train: 0,
            test: 0,
            downsample: 1,
            augment: false,
            dither: as_code_stores_mnist,
            // The released code normalises MNIST with the mean of CIFAR's red channel.
            mean: if as_code_stores_mnist { vec![0.4914] } else { vec![] },
            std: if as_code_stores_mnist { vec![0.3081] } else { vec![] },
            test_statistics: if code { TestStatistics::Test } else { TestStatistics::Train },
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if ![1, 2, 4].contains(&self.downsample) {
            return Err(refused("data.downsample", self.downsample, "it must be 1, 2 or 4"));
        }
        if self.mean.iter().any(|mean| !mean.is_finite()) {
            return Err(refused("data.mean", format!("{:?}", self.mean), "finite numbers are needed"));
        }
        if self.mean.len() != self.std.len() || self.std.iter().any(|&std| !std.is_finite() || std <= 0.0) {
            let reason = "as many as data.mean are needed, each greater than 0";
            return Err(refused("data.std", format!("{:?}", self.std), reason));
        }
        Ok(())
    }
}
