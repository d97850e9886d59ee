//! The images of a data set as a device sees them: resident, in chunks, or sent batch by batch.
//!
//! A set that fits one binding is one buffer and a batch one gather. A larger one lies in chunks, with a gather each. One
//! that does not fit the device's memory stays on the host, which sends the images of every batch before its step. All
//! three give the same bits.

use crate::error::Result;
use data::Images;
use engine::device::HostWords;
use engine::{Buffer, Device, Error, Launch, Program, Slice};
use kernels::Clock;
use kernels::gather::{Augment, Gather, Source};
use std::cell::RefCell;
use std::sync::Arc;

/// The released code's augmentation: zero-padding by 4, a random crop, a flip with probability 1/2.
pub const AUGMENT: Augment = Augment { padding: 4, flip: true };

/// Where the images are.
#[derive(Debug)]
enum Store {
    /// On the device, in order.
    Device(Vec<Chunk>),
    /// On the host: packed words, and room for one batch on the device.
    Host { words: HostWords, batch: Buffer },
}

#[derive(Debug)]
struct Chunk {
    buffer: Buffer,
    first_row: usize,
    rows: usize,
}

/// A set of images, and what turns their bytes into inputs.
#[derive(Debug)]
pub struct DeviceImages {
    store: Store,
    rows: usize,
    height: usize,
    width: usize,
    scale: Vec<f32>,
    shift: Vec<f32>,
    augment: Option<Augment>,
}

/// The order in which examples come.
#[derive(Debug)]
pub struct Order<'a> {
    /// Rows of the set, in a host's and in a device's memory.
    pub examples: (&'a Arc<Vec<u32>>, &'a Buffer),
    /// A label for each.
    pub labels: &'a Buffer,
    /// Whether every epoch shuffles them.
    pub shuffle: bool,
}

/// A program that begins by gathering a batch.
#[derive(Debug)]
pub struct BatchProgram {
    program: Program,
    stream: Option<Stream>,
}

/// What the host sends before a step.
#[derive(Debug)]
struct Stream {
    gather: Gather,
    examples: Arc<Vec<u32>>,
    images: HostWords,
    image_words: usize,
    batch: Buffer,
    /// The batch's images side by side, kept to be filled again.
    staged: RefCell<Vec<u32>>,
}

impl DeviceImages {
    /// Uploads the images; with `stream`, or where the device has no room for them, keeps them on the host and takes room
    /// for `batch` of them. `mean` and `std` are those of pixels scaled to [0, 1], per channel.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(
        device: &Device,
        images: &Images,
        (mean, std): (&[f32], &[f32]),
        augment: Option<Augment>,
        stream: bool,
        batch: usize,
    ) -> Result<Self> {
        let words = image_words(images);
        let packed = pack(images);
        let resident = if stream { None } else { upload(device, &images.name, &packed, words)? };
        let store = match resident {
            Some(chunks) => Store::Device(chunks),
            None => Store::Host {
                words: packed,
                batch: device.buffer(&format!("a batch of {}", images.name), batch * words)?,
            },
        };
        Ok(Self {
            store,
            rows: images.len(),
            height: images.height,
            width: images.width,
            // (byte / 255 - mean) / std = byte * scale + shift, per channel.
            scale: std.iter().map(|&std| (1.0 / (255.0 * f64::from(std))) as f32).collect(),
            shift: mean.iter().zip(std).map(|(mean, std)| -mean / std).collect(),
            augment,
        })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Compiles `launches` behind the gathering of a batch of `batch` examples into x and y.
    ///
    /// # Errors
    /// Those of the device.
    pub fn program(
        &self,
        device: &Device,
        order: &Order<'_>,
        batch: usize,
        (x, y): (Slice, Slice),
        launches: Vec<Launch>,
    ) -> Result<BatchProgram> {
        let (examples, subset) = order.examples;
        let kernel = self.kernel(examples.len(), batch);
        let kernel = Gather { shuffle: order.shuffle, augment: self.augment, ..kernel };
        let [subset, labels] = [subset, order.labels].map(|buffer| buffer.slice(0, examples.len()));
        let all = [self.gathers(&kernel, &[subset, labels, x, y]), launches].concat();
        let stream = match &self.store {
            Store::Device(_) => None,
            Store::Host { words, batch } => Some(Stream {
                gather: kernel,
                examples: Arc::clone(examples),
                images: words.clone(),
                image_words: self.image_words(),
                batch: batch.clone(),
                staged: RefCell::default(),
            }),
        };
        Ok(BatchProgram { program: device.compile(all)?, stream })
    }

    /// The launches that fetch the images at `rows` `[N]` of the set, of which the device alone knows, into x. They write
    /// N words to `unused`. Images are not augmented.
    ///
    /// # Errors
    /// The images do not lie on the device.
    pub fn gather(&self, rows: Slice, unused: &Buffer, x: Slice) -> Result<Vec<Launch>> {
        if matches!(self.store, Store::Host { .. }) {
            return Err(crate::Error::Mismatch(
                "the images do not fit the device's memory, where an agent needs them: take fewer (data.train)".into(),
            ));
        }
        let kernel = self.kernel(rows.words, rows.words);
        let unused = unused.slice(0, rows.words);
        // The rows stand for the labels too, which are not used.
        Ok(self.gathers(&kernel, &[rows.clone(), rows, x, unused]))
    }

    /// What gathers `batch` of `examples` rows of the set, in their order and as they are.
    fn kernel(&self, examples: usize, batch: usize) -> Gather {
        Gather {
            examples,
            batch,
            height: self.height,
            width: self.width,
            channels: self.scale.len(),
            scale: self.scale.clone(),
            shift: self.shift.clone(),
            images_rows: self.rows,
            source: Source::Resident,
            shuffle: false,
            augment: None,
        }
    }

    /// The launches of a gather from the memory where the images are. `slices` are all of its buffers but the images.
    fn gathers(&self, kernel: &Gather, slices: &[Slice; 4]) -> Vec<Launch> {
        let launch = |images: &Buffer, images_rows, source| {
            let images = images.slice(0, images_rows * self.image_words());
            let kernel = Gather { images_rows, source, ..kernel.clone() };
            Launch::new("gather batch", Arc::new(kernel), [&[images], &slices[..]].concat())
        };
        match &self.store {
            Store::Device(chunks) if chunks.len() == 1 => {
                vec![launch(&chunks[0].buffer, self.rows, Source::Resident)]
            }
            Store::Device(chunks) => {
                let of_chunk = |chunk: &Chunk| Source::Chunk { first_row: chunk.first_row };
                chunks.iter().map(|chunk| launch(&chunk.buffer, chunk.rows, of_chunk(chunk))).collect()
            }
            Store::Host { batch, .. } => vec![launch(batch, kernel.batch, Source::Streamed)],
        }
    }

    /// Words of an image.
    fn image_words(&self) -> usize {
        (self.height * self.width * self.scale.len()).div_ceil(4)
    }
}

impl BatchProgram {
    /// Runs it on the batch of this clock.
    ///
    /// # Errors
    /// Those of the device.
    pub fn run(&self, device: &Device, clock: &Clock) -> Result<()> {
        self.send(device, clock)?;
        Ok(self.program.run(clock)?)
    }

    /// The same, looking at every value: the first that is not finite.
    ///
    /// # Errors
    /// Those of the device.
    pub fn run_checked(&self, device: &Device, clock: &Clock) -> Result<Option<String>> {
        self.send(device, clock)?;
        Ok(self.program.run_checked(clock)?.map(|found| found.to_string()))
    }

    fn send(&self, device: &Device, clock: &Clock) -> Result<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        let (mut staged, images) = (stream.staged.borrow_mut(), stream.images.as_slice());
        staged.clear();
        for row in stream.gather.image_rows(clock, &stream.examples) {
            staged.extend_from_slice(&images[row * stream.image_words..][..stream.image_words]);
        }
        Ok(device.write(&stream.batch, 0, &staged)?)
    }
}

/// Words of an image: four bytes each, the last one padded.
fn image_words(images: &Images) -> usize {
    images.image_len().div_ceil(4)
}

/// The images as rows of words: the data set's own memory, unless a row has to be padded.
fn pack(images: &Images) -> HostWords {
    if images.image_len().is_multiple_of(4)
        && let Some(words) = HostWords::of_bytes(Arc::clone(&images.pixels))
    {
        return words;
    }
    let words = image_words(images);
    let mut packed = vec![0u32; images.len() * words];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut packed);
    for (image, row) in images.pixels.chunks(images.image_len()).zip(bytes.chunks_mut(words * 4)) {
        row[..image.len()].copy_from_slice(image);
    }
    Arc::new(packed).into()
}

/// Puts all images on the device, as many in one buffer as it can bind; `None` if there is no room for them. The CPU uses
/// the host's memory: the images lie there once, however many devices there are.
fn upload(device: &Device, name: &str, packed: &HostWords, image_words: usize) -> Result<Option<Vec<Chunk>>> {
    if !device.is_gpu() {
        let rows = packed.as_slice().len() / image_words;
        let buffer = device.constant(name, packed.clone())?;
        return Ok(Some(vec![Chunk { buffer, first_row: 0, rows }]));
    }
    let packed = packed.as_slice();
    let most = device.gpu_traits().map_or(usize::MAX, |gpu| gpu.largest_binding);
    let rows = (most / image_words).max(1);
    let mut chunks = Vec::new();
    for (index, words) in packed.chunks(rows.saturating_mul(image_words)).enumerate() {
        match device.buffer_with(name, words) {
            Ok(buffer) => {
                chunks.push(Chunk { buffer, first_row: index * rows, rows: words.len() / image_words });
            }
            Err(Error::OutOfMemory { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(chunks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::GpuTraits;

    /// Five batches of an augmented epoch, as the network would see them.
    fn batches(device: &Device, stream: bool) -> Vec<u32> {
        let images = Images {
            name: "some images".into(),
            height: 5,
            width: 6,
            channels: 3,
            classes: 10,
            pixels: Arc::new((0..40 * 90u32).map(|i| (i * 7919 % 251) as u8).collect()),
            labels: (0..40).map(|i| i % 10).collect(),
        };
        let (mean, std) = ([0.5, 0.4, 0.3], [0.2, 0.3, 0.25]);
        let set = DeviceImages::new(device, &images, (&mean, &std), Some(AUGMENT), stream, 7).unwrap();
        let examples: Arc<Vec<u32>> = Arc::new((0..35).map(|i| (i * 11) % 40).collect());
        let subset = device.buffer_with("examples", &examples).unwrap();
        let labels = device.buffer_with("labels", &(0..35).collect::<Vec<u32>>()).unwrap();
        let order = Order { examples: (&examples, &subset), labels: &labels, shuffle: true };
        let (x, y) = (device.buffer("x", 7 * 90).unwrap(), device.buffer("y", 7).unwrap());
        let (x, y) = (x.slice(0, 7 * 90), y.slice(0, 7));
        let program = set.program(device, &order, 7, (x.clone(), y.clone()), Vec::new()).unwrap();
        let mut seen = Vec::new();
        for cursor in (0..35).step_by(7) {
            program.run(device, &Clock { seed: 3, epoch: 2, cursor, ..Clock::default() }).unwrap();
            seen.extend(device.read(&x.buffer, 0..7 * 90).unwrap());
            seen.extend(device.read(&y.buffer, 0..7).unwrap());
        }
        seen
    }

    #[test]
    fn resident_chunked_and_streamed_sets_give_the_same_bits() {
        let cpu = Device::cpu(2).unwrap();
        let resident = batches(&cpu, false);
        assert_eq!(batches(&cpu, true), resident);
        let name = if engine::device::list_devices().auto.is_some() { "gpu" } else { "llvmpipe" };
        let gpu = Device::open(name, 0).unwrap();
        let on_gpu = batches(&gpu, false);
        assert_eq!(batches(&gpu, true), on_gpu);
        // The batch fits, of the 40 images of 23 words only 30.
        let little = GpuTraits { largest_binding: 700, ..gpu.gpu_traits().unwrap() };
        assert_eq!(batches(&gpu.with_gpu_traits(little), false), on_gpu);
        let close = |(a, b): (&u32, &u32)| a == b || (f32::from_bits(*a) - f32::from_bits(*b)).abs() < 1e-5;
        assert!(resident.iter().zip(&on_gpu).all(close));
    }
}
