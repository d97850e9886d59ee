//! A batch from the resident data set: shuffle, look up, convert and normalise in one launch.
//!
//! For row i of the batch and value p of an image, which belongs to channel `c = p % channels` (channels last):
//!
//! ```text
//! position = min(clock.cursor + i, examples - 1)
//! index    = shuffled(position)            a bijection of 0..examples keyed by seed and epoch, or the position itself
//! x[i, p]  = images[subset[index], p] * scale[c] + shift[c]
//! y[i]     = labels[index]
//! ```
//!
//! With `scale = 1 / (255 std)` and `shift = -mean / std` this is `ToTensor` and `Normalize` of torchvision. A data
//! set, the subset in use and the labels (which an experiment may shuffle or corrupt) stay on the device, so a step
//! uploads nothing: the order of an epoch is computed, see [`crate::random::shuffled`]. Nothing here has a gradient.

mod cases;
mod cpu;

pub use cases::cases;

use crate::kernel::{Access, Args, Binding, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::{Cpu, random};

/// The most channels whose scale and shift fit the launch parameters.
pub const MAX_CHANNELS: usize = 4;

/// Gathers and normalises one batch; see the [module](self) for the formula.
///
/// Buffers: images `[images_rows, ceil(pixels / 4)]` words of four bytes each, the first in the lowest bits;
/// subset `[examples]` rows of images; labels `[examples]`; x `[batch, pixels]` floats; y `[batch]`.
/// There must be at least one example and one image; rows and positions beyond the end read the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Examples in the subset, the length of an epoch.
    pub examples: usize,
    /// Rows of the batch.
    pub batch: usize,
    /// Values per image: height x width x channels.
    pub pixels: usize,
    /// Channels, the last axis of an image; at most [`MAX_CHANNELS`].
    pub channels: usize,
    /// Factor per channel.
    pub scale: Vec<f32>,
    /// Summand per channel.
    pub shift: Vec<f32>,
    /// Images in the resident data set.
    pub images_rows: usize,
    /// Whether the epoch's order is shuffled.
    pub shuffle: bool,
}

impl Gather {
    /// Words of one packed image.
    fn image_words(&self) -> usize {
        self.pixels.div_ceil(4)
    }

    /// Scale and shift per channel, zeros behind the last channel.
    ///
    /// # Panics
    /// If the shapes are not those that the documentation asks for: a bug in the caller.
    fn normalisation(&self) -> ([f32; MAX_CHANNELS], [f32; MAX_CHANNELS]) {
        assert!((1..=MAX_CHANNELS).contains(&self.channels), "{} channels", self.channels);
        assert!(
            self.scale.len() == self.channels && self.shift.len() == self.channels,
            "one value per channel"
        );
        assert!(self.examples > 0 && self.images_rows > 0, "nothing to gather from");
        let spread = |values: &[f32]| std::array::from_fn(|c| values.get(c).copied().unwrap_or(0.0));
        (spread(&self.scale), spread(&self.shift))
    }

    /// Where row `i` of the batch comes from: the row of images, and the position in subset and labels.
    fn source(&self, i: usize, clock: &Clock, subset: &[u32]) -> (usize, usize) {
        let position = (clock.cursor as usize + i).min(self.examples - 1) as u32;
        let index = if self.shuffle {
            random::shuffled(position, self.examples as u32, clock.seed, clock.epoch)
        } else {
            position
        };
        ((subset[index as usize] as usize).min(self.images_rows - 1), index as usize)
    }
}

impl Kernel for Gather {
    fn name(&self) -> &'static str {
        "gather/batch"
    }

    fn shape(&self) -> String {
        let order = if self.shuffle { " shuffled" } else { "" };
        format!("{}x{}/{} of {}{order}", self.batch, self.pixels, self.channels, self.examples)
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("images", self.images_rows * self.image_words()),
            Binding::read("subset", self.examples),
            Binding::read("labels", self.examples),
            Binding::write("x", self.batch * self.pixels),
            Binding::write("y", self.batch),
        ]
    }

    fn cost(&self) -> Cost {
        let values = (self.batch * self.pixels) as u64;
        // A byte in, a float out; and per row the subset's entry, the label in and out.
        Cost { flops: 2 * values, bytes: 5 * values + 12 * self.batch as u64 }
    }

    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        let (scale, shift) = self.normalisation();
        let mut immediates = vec![
            self.examples as u32,
            self.batch as u32,
            self.pixels as u32,
            self.channels as u32,
            self.images_rows as u32,
            u32::from(self.shuffle),
            random::shuffle_bits(self.examples as u32),
        ];
        immediates.extend(scale.iter().chain(&shift).map(|v| v.to_bits()));
        vec![Dispatch {
            label: self.name().into(),
            source: concat!(
                include_str!("../clock.wgsl"),
                include_str!("../random.wgsl"),
                include_str!("gather.wgsl")
            )
            .into(),
            constants: Vec::new(),
            bindings: vec![
                (0, Access::Read),
                (1, Access::Read),
                (2, Access::Read),
                (3, Access::ReadWrite),
                (4, Access::ReadWrite),
            ],
            immediates,
            clock: true,
            grid: [self.batch.min(65_535) as u32, 1, 1],
            windows: Vec::new(),
        }]
    }

    fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([images, subset, labels, x, y], _) = args.split();
        cpu::gather(self, cpu, clock, images.u8(), subset.u32(), labels.u32(), x.f32_mut(), y.u32_mut());
    }
}
