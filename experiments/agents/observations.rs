//! What an agent sees, and how a network's input is made of it on the device.
//!
//! | an observation | words in the replay | as the network takes it |
//! |---|---|---|
//! | an image of a set that lies on the device | 1, its row | its pixels, from 0 to 1 |
//! | a picture | a fourth of its values, rounded up | its pixels, from 0 to 1 |
//! | numbers | as many | as they are |
//!
//! A network takes squares of `model.image_size` with `model.channels`. A picture of another shape, and numbers, are for it
//! one pixel that has all values as its channels: `image_size` 1.

use crate::error::{Error, Result};
use crate::images::DeviceImages;
use data::Images;
use engine::device::padded;
use engine::{Device, Launch, Slice};
use environments::ObservationKind;
use kernels::arena::Copy;
use kernels::gather::{Gather, Source};
use models::Input;
use std::sync::Arc;

/// What an agent sees.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// Images of this set.
    Images(&'a Images),
    /// Pictures: height, width, channels.
    Pixels([usize; 3]),
    /// As many numbers.
    Numbers(usize),
}

impl<'a> From<&'a Images> for Seen<'a> {
    fn from(images: &'a Images) -> Self {
        Self::Images(images)
    }
}

impl<'a> Seen<'a> {
    /// The observations of an environment, whose images are among these.
    ///
    /// # Errors
    /// It shows images of a larger set.
    pub(super) fn of(kind: ObservationKind, images: &'a Images) -> Result<Self> {
        match kind {
            ObservationKind::Image { images: count } if count as usize <= images.len() => Ok(images.into()),
            ObservationKind::Image { images: count } => Err(Error::Mismatch(format!(
                "observations are of {count} images, the set has {}",
                images.len()
            ))),
            ObservationKind::Pixels { shape } => Ok(Self::Pixels(shape)),
            ObservationKind::Numbers { len } => Ok(Self::Numbers(len)),
        }
    }

    /// Whether a network takes them.
    fn check(self, input: Input) -> Result<()> {
        let takes = [input.image_size, input.image_size, input.channels];
        let (what, shape) = match self {
            Self::Images(images) => ("images", [images.height, images.width, images.channels]),
            Self::Pixels(shape) => ("pictures", shape),
            Self::Numbers(len) => ("numbers", [1, 1, len]),
        };
        let flat = [1, 1, shape.iter().product()];
        if takes == shape || (takes == flat && !matches!(self, Self::Images(_))) {
            return Ok(());
        }
        let [height, width, channels] = shape;
        let advice = match self {
            Self::Images(_) => String::new(),
            _ => format!(": set model.image_size = 1 and model.channels = {}", flat[2]),
        };
        let advice = match self {
            Self::Pixels(_) if height == width => {
                format!(": set model.image_size = {height} and model.channels = {channels}")
            }
            _ => advice,
        };
        Err(Error::Mismatch(format!(
            "observations are {what} of {height}x{width}x{channels}, the network takes {}x{}x{}{advice}",
            takes[0], takes[1], takes[2]
        )))
    }
}

/// Observations on a device.
#[derive(Debug)]
pub(super) enum Observations {
    /// Rows of a set.
    Images(DeviceImages),
    /// Packed bytes.
    Pixels {
        /// Values of a picture.
        values: usize,
    },
    /// Floats.
    Numbers {
        /// How many.
        len: usize,
    },
}

impl Observations {
    /// What an agent sees that acts with a network.
    ///
    /// # Errors
    /// The network takes something else; images that do not fit the device's memory; those of the device.
    pub(super) fn new(device: &Device, seen: Seen<'_>, input: Input) -> Result<Self> {
        seen.check(input)?;
        Ok(match seen {
            Seen::Images(images) => {
                let (mean, std) = (vec![0.0; images.channels], vec![1.0; images.channels]);
                Self::Images(DeviceImages::new(device, images, (&mean, &std), None, false, 1)?)
            }
            Seen::Pixels(shape) => Self::Pixels { values: shape.iter().product() },
            Seen::Numbers(len) => Self::Numbers { len },
        })
    }

    /// Words of an observation.
    pub(super) fn words(&self) -> usize {
        match self {
            Self::Images(_) => 1,
            Self::Pixels { values } => values.div_ceil(4),
            Self::Numbers { len } => *len,
        }
    }

    /// The launches that make the inputs x `[N, H, W, C]` of observations `[N, words]`.
    ///
    /// # Errors
    /// Images that do not lie on the device; those of the device.
    pub(super) fn launches(&self, device: &Device, observed: Slice, x: Slice) -> Result<Vec<Launch>> {
        let rows = observed.words / self.words();
        match self {
            Self::Images(set) => set.gather(observed, &device.buffer("no labels", padded(rows))?, x),
            Self::Numbers { .. } => {
                Ok(vec![Launch::new("copy numbers", Arc::new(Copy { len: x.words }), vec![x, observed])])
            }
            Self::Pixels { values } => {
                let kernel = Gather {
                    examples: 1,
                    batch: rows,
                    height: 1,
                    width: *values,
                    channels: 1,
                    scale: vec![1.0 / 255.0],
                    shift: vec![0.0],
                    images_rows: rows,
                    source: Source::Streamed,
                    shuffle: false,
                    augment: None,
                };
                let no_order = device.buffer("no order", 1)?.slice(0, 1);
                let no_labels = device.buffer("no labels", padded(rows))?.slice(0, rows);
                let slices = vec![observed, no_order.clone(), no_order, x, no_labels];
                Ok(vec![Launch::new("convert pictures", Arc::new(kernel), slices)])
            }
        }
    }
}
