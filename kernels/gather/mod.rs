//! A batch of images and labels: shuffle, look up, augment, convert and normalise in one launch.
//!
//! Images are `[H, W, C]`, channels last, a byte per value. For row i of the batch:
//!
//! ```text
//! position      = min(clock.cursor + i, examples - 1)
//! index         = shuffled(position)       a bijection of 0..examples keyed by seed and epoch, or the position itself
//! row           = subset[index]
//! x[i, h, w, c] = byte * scale[c] + shift[c]        byte = images[row, h, w, c], or as augmented
//! y[i]          = labels[index]
//! ```
//!
//! With `scale = 1 / (255 std)` and `shift = -mean / std` this is `ToTensor` and `Normalize` of torchvision.
//! Augmentation is its `RandomCrop(padding)` and `RandomHorizontalFlip` before them: with p zeros on every side, offsets
//! s and t uniform in 0..=2p, and a coin for the flip,
//!
//! ```text
//! byte = images[row, h + s - p, w' + t - p, c], or 0 outside of the image        w' = W - 1 - w where flipped, else w
//! s, t, coin from pcg4d(position, epoch, AUGMENT, seed)
//! ```
//!
//! so a crop depends on nothing but seed, epoch and position: it is the same on both devices, for every size of batch
//! and after a resume. A padded value is `shift[c]` after the normalisation.
//!
//! A data set, the subset in use and the labels (which an experiment may shuffle or corrupt) stay on the device, so a
//! step uploads nothing: the order of an epoch is computed, see [`crate::random::shuffled`]. A set that is larger than
//! a buffer is gathered by one launch per [`Source::Chunk`]; of one that is larger than the device the host uploads each
//! batch, [`Source::Streamed`], with the rows that [`Gather::image_rows`] names. All of them give the same bits. Nothing
//! here has a gradient. Rows of what is no image [`Take`] copies as they are.

mod cases;
mod cpu;
mod gpu;
mod take;

pub use take::Take;

use crate::case::Case;
use crate::kernel::{Access, Args, Binding, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::size::words;
use crate::{Cpu, random};

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = cases::cases();
    cases.extend(take::cases());
    cases
}

/// The most channels whose scale and shift fit the launch parameters.
pub const MAX_CHANNELS: usize = 4;

/// The most padding whose crops are drawn evenly.
pub const MAX_PADDING: usize = 1 << 10;

/// Random crops and flips; see the [module](self) for the formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Augment {
    /// Zeros around the image on every side, p, at most [`MAX_PADDING`].
    pub padding: usize,
    /// Whether every second image, on average, is mirrored.
    pub flip: bool,
}

impl Augment {
    /// What happens to the example at a position of an epoch: rows and columns by which the crop begins below and right
    /// of the padded corner, and whether it is mirrored.
    pub fn draw(&self, position: u32, clock: &Clock) -> (usize, usize, bool) {
        let words = random::pcg4d([position, clock.epoch, random::stream::AUGMENT, clock.seed]);
        let offsets = 2 * self.padding as u32 + 1;
        let [s, t] = [words[0], words[1]].map(|word| random::below(word, offsets) as usize);
        (s, t, self.flip && random::below(words[2], 2) == 1)
    }
}

/// What the buffer `images` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The whole data set.
    Resident,
    /// Its rows from `first_row` on. A launch writes only those rows of x whose image it finds, and all of y: one launch
    /// for each chunk of the set makes the batch.
    Chunk {
        /// The row of the data set that comes first in the buffer.
        first_row: usize,
    },
    /// The images of this batch in its order, as many as it has rows.
    Streamed,
}

/// Gathers, augments and normalises one batch; see the [module](self) for the formula.
///
/// Buffers: images `[images_rows, ceil(H W C / 4)]` words of four bytes each, the first in the lowest bits;
/// subset `[examples]` rows of the data set; labels `[examples]`; x `[batch, H, W, C]` floats; y `[batch]`.
/// There must be at least one example and one image; positions beyond the end, and rows beyond that of a resident set,
/// read the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Examples in the subset, the length of an epoch.
    pub examples: usize,
    /// Rows of the batch.
    pub batch: usize,
    /// Rows of an image, H.
    pub height: usize,
    /// Columns of an image, W.
    pub width: usize,
    /// Channels of an image, C; at most [`MAX_CHANNELS`].
    pub channels: usize,
    /// Factor per channel.
    pub scale: Vec<f32>,
    /// Summand per channel.
    pub shift: Vec<f32>,
    /// Images in the buffer `images`; of a [streamed](Source::Streamed) batch as many as it has rows.
    pub images_rows: usize,
    /// What they are.
    pub source: Source,
    /// Whether the epoch's order is shuffled.
    pub shuffle: bool,
    /// Random crops and flips.
    pub augment: Option<Augment>,
}

/// What a row of the batch is made of.
struct Row {
    /// Row of the buffer `images`, if it holds the image.
    image: Option<usize>,
    /// Position in subset and labels.
    index: usize,
    /// Position in the epoch, the key of the augmentation.
    position: u32,
}

impl Gather {
    /// The rows of the data set that make up the batch of this clock, in order: what a host that
    /// [streams](Source::Streamed) uploads. `subset` is the contents of the buffer of that name.
    ///
    /// # Panics
    /// If the subset has fewer than [`Gather::examples`] rows.
    pub fn image_rows<'a>(&'a self, clock: &'a Clock, subset: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
        (0..self.batch).map(move |i| subset[self.index(self.position(i, clock), clock)] as usize)
    }

    /// Values of an image.
    fn values(&self) -> usize {
        words([self.height, self.width, self.channels])
    }

    /// Words of one packed image.
    fn image_words(&self) -> usize {
        self.values().div_ceil(4)
    }

    /// Scale and shift per channel, zeros behind the last channel.
    ///
    /// # Panics
    /// If the shapes are not those that the documentation asks for: a bug in the caller.
    fn normalisation(&self) -> [[f32; MAX_CHANNELS]; 2] {
        assert!((1..=MAX_CHANNELS).contains(&self.channels), "{} channels", self.channels);
        assert!(
            self.scale.len() == self.channels && self.shift.len() == self.channels,
            "one value per channel"
        );
        assert!(self.examples > 0 && self.images_rows > 0, "nothing to gather from");
        assert!(self.augment.is_none_or(|augment| augment.padding <= MAX_PADDING), "too much padding");
        assert!(self.source != Source::Streamed || self.images_rows == self.batch, "one image per row");
        [&self.scale, &self.shift]
            .map(|values| std::array::from_fn(|c| values.get(c).copied().unwrap_or(0.0)))
    }

    /// Position in the epoch of row `i` of the batch.
    fn position(&self, i: usize, clock: &Clock) -> u32 {
        (clock.cursor as usize + i).min(self.examples - 1) as u32
    }

    /// Position in subset and labels.
    fn index(&self, position: u32, clock: &Clock) -> usize {
        match self.shuffle {
            true => random::shuffled(position, self.examples as u32, clock.seed, clock.epoch) as usize,
            false => position as usize,
        }
    }

    /// Where row `i` of the batch comes from.
    fn row(&self, i: usize, clock: &Clock, subset: &[u32]) -> Row {
        let position = self.position(i, clock);
        let index = self.index(position, clock);
        let row = subset[index] as usize;
        let image = match self.source {
            Source::Resident => Some(row.min(self.images_rows - 1)),
            Source::Chunk { first_row } => row.checked_sub(first_row).filter(|&row| row < self.images_rows),
            Source::Streamed => Some(i),
        };
        Row { image, index, position }
    }
}

impl Kernel for Gather {
    fn name(&self) -> &'static str {
        "gather/batch"
    }

    fn shape(&self) -> String {
        let Gather { batch, height, width, channels, examples, .. } = self;
        let order = if self.shuffle { " shuffled" } else { "" };
        let source = match self.source {
            Source::Resident => String::new(),
            Source::Chunk { first_row } => format!(", rows from {first_row}"),
            Source::Streamed => ", streamed".into(),
        };
        let augment = match self.augment {
            Some(Augment { padding, flip }) => format!(", crop {padding}{}", if flip { " flip" } else { "" }),
            None => String::new(),
        };
        format!("{batch}x{height}x{width}x{channels} of {examples}{order}{source}{augment}")
    }

    fn bindings(&self) -> Vec<Binding> {
        let x = if matches!(self.source, Source::Chunk { .. }) { Access::ReadWrite } else { Access::Write };
        vec![
            Binding::read("images", words([self.images_rows, self.image_words()])).integers(),
            Binding::read("subset", self.examples).integers(),
            Binding::read("labels", self.examples).integers(),
            Binding { name: "x", access: x, words: words([self.batch, self.values()]), integers: false },
            Binding::write("y", self.batch).integers(),
        ]
    }

    fn cost(&self) -> Cost {
        let values = (self.batch * self.values()) as u64;
        // A byte in, a float out; and per row the subset's entry, the label in and out.
        Cost { flops: 2 * values, bytes: 5 * values + 12 * self.batch as u64 }
    }

    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::dispatches(self, gpu)
    }

    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        let ([images, subset, labels, x, y], _) = args.split();
        cpu::gather(self, cpu, clock, images.u8(), subset.u32(), labels.u32(), x.f32_mut(), y.u32_mut());
    }
}
