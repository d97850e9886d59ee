//! The data set of a config as it is trained on.

use crate::config::{RunConfig, TestStatistics};
use crate::error::{Error, Result};
use data::{DataSet, Images, LoadOptions};
use std::path::Path;
use std::sync::Arc;

/// The data set of a config, cut, made smaller and dithered as it says, with the statistics that it names; an empty one
/// where it asks for none.
///
/// # Errors
/// A set that is not there or damaged; a config that asks for more images than there are, or for other channels.
pub fn load(config: &dyn RunConfig, dir: &Path) -> Result<DataSet> {
    let Some(wanted) = config.data() else { return Ok(nothing()) };
    // A built-in set is drawn in the size that is asked for; the others are cut.
    let mut options = LoadOptions::default();
    if wanted.set.parse::<data::Name>()?.is_built_in() {
        let image_size = config.model().build().map_err(Error::Mismatch)?.input().image_size;
        options.side = Some(image_size.saturating_mul(wanted.downsample));
        if wanted.train > 0 {
            options.train = wanted.train;
        }
        if wanted.test > 0 {
            options.test = wanted.test;
        }
    }
    let mut data = data::load(&wanted.set, dir, &options)?;
    cut(&mut data.train, wanted.train, "train")?;
    cut(&mut data.test, wanted.test, "test")?;
    data = data.downsampled(wanted.downsample)?;
    if wanted.dither {
        data = data.dithered()?;
    }
    if !wanted.mean.is_empty() {
        if wanted.mean.len() != data.train.channels {
            return Err(Error::Mismatch(format!(
                "data.mean has {} values, the images have {} channels",
                wanted.mean.len(),
                data.train.channels
            )));
        }
        data.mean = wanted.mean.iter().map(|&v| v as f32).collect();
        data.std = wanted.std.iter().map(|&v| v as f32).collect();
    }
    let overridden = !wanted.mean.is_empty();
    if overridden || wanted.test_statistics == TestStatistics::Train {
        (data.test_mean, data.test_std) = (data.mean.clone(), data.std.clone());
    }
    Ok(data)
}

/// A set without images.
fn nothing() -> DataSet {
    let none = Images::none();
    DataSet { origin: data::Origin::BuiltIn, ..DataSet::new(none.clone(), none, &[], &[]) }
}

/// Whether the model takes the images and classes of the set, where the config asks for one.
///
/// # Errors
/// It does not.
pub fn check(config: &dyn RunConfig, data: &DataSet) -> Result<()> {
    let Some(wanted) = config.data() else { return Ok(()) };
    let (input, train) = (config.model().build().map_err(Error::Mismatch)?.input(), &data.train);
    let takes = (input.image_size, input.image_size, input.channels);
    let has = (train.height, train.width, train.channels);
    if takes != has || input.classes != train.classes {
        return Err(Error::Mismatch(format!(
            "the data set {} has images of {}x{}x{} in {} classes, but the model takes {}x{}x{} in {}: \
             set model.image_size, model.channels and model.classes",
            wanted.set, has.0, has.1, has.2, train.classes, takes.0, takes.1, takes.2, input.classes
        )));
    }
    Ok(())
}

/// Keeps the first `n` images; 0 keeps all.
fn cut(images: &mut Images, n: usize, key: &str) -> Result<()> {
    if n > images.len() {
        let has = images.len();
        return Err(Error::Mismatch(format!("data.{key} = {n}, but {} has {has} images", images.name)));
    }
    if n > 0 {
        let kept = n * images.image_len();
        let pixels = Arc::make_mut(&mut images.pixels);
        pixels.truncate(kept);
        pixels.shrink_to_fit();
        images.labels.truncate(n);
    }
    Ok(())
}

/// Number of training images, without loading them: what the config asks for, or else what the set has.
///
/// # Errors
/// A set that does not exist.
pub fn train_len(config: &dyn RunConfig) -> Result<usize> {
    let Some(wanted) = config.data() else { return Ok(0) };
    let name = wanted.set.parse::<data::Name>()?;
    let all = data::list().into_iter().find(|set| set.name == name).map_or(0, |set| set.train);
    Ok(if wanted.train > 0 { wanted.train } else { all })
}
