//! The gather on the CPU: tasks of whole rows, sixteen bytes to sixteen floats at a time.

use super::{Augment, Gather, MAX_CHANNELS};
use crate::Cpu;
use crate::kernel::Clock;
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;

/// Values of x in one task, at least one row.
const TASK: usize = 16_384;

/// Pixels that are cropped and flipped at a time. A piece of a line begins at a multiple of them, where the pattern of
/// channels begins again for any number of channels.
const PIECE: usize = 16 * LANES;

/// A value per channel, spread over lanes: vector `k % channels` fits values `16 k` to `16 k + 15` of an image,
/// because the pattern repeats after `channels` vectors.
type Pattern = [[f32; LANES]; MAX_CHANNELS];

fn pattern(values: &[f32; MAX_CHANNELS], channels: usize) -> Pattern {
    std::array::from_fn(|k| std::array::from_fn(|lane| values[(k * LANES + lane) % channels]))
}

/// Converts and normalises bytes that begin with the first channel.
struct Normalise<'a> {
    bytes: &'a [u8],
    x: &'a mut [f32],
    channels: usize,
    patterns: &'a [Pattern; 2],
}

impl Vectorised for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [scale, shift] = self.patterns;
        let (bytes, bytes_tail) = self.bytes.as_chunks::<LANES>();
        let (x, x_tail) = self.x.as_chunks_mut::<LANES>();
        let mut k = 0;
        for (x, bytes) in x.iter_mut().zip(bytes) {
            s.store(x, s.fma(widen(s, bytes), s.load(&scale[k]), s.load(&shift[k])));
            k = if k + 1 < self.channels { k + 1 } else { 0 };
        }
        let mut last = [0; LANES];
        last[..bytes_tail.len()].copy_from_slice(bytes_tail);
        s.store_partial(x_tail, s.fma(widen(s, &last), s.load(&scale[k]), s.load(&shift[k])));
    }
}

/// Bytes as floats; the compiler turns the loop into widening instructions.
#[inline(always)]
fn widen<S: Simd>(s: S, bytes: &[u8; LANES]) -> S::V {
    let mut floats = [0.0; LANES];
    for lane in 0..LANES {
        floats[lane] = f32::from(bytes[lane]);
    }
    s.load(&floats)
}

/// Crops, flips and normalises one image.
struct Augmented<'a> {
    kernel: &'a Gather,
    /// Offsets of the crop, and whether it is mirrored.
    drawn: (usize, usize, bool),
    padding: usize,
    image: &'a [u8],
    x: &'a mut [f32],
    patterns: &'a [Pattern; 2],
}

impl Vectorised for Augmented<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Gather { height, width, channels, .. } = *self.kernel;
        let (offset_row, offset_column, flip) = self.drawn;
        let line = width * channels;
        for (h, x) in self.x.chunks_exact_mut(line).enumerate() {
            let row = (h + offset_row).checked_sub(self.padding).filter(|&row| row < height);
            let from = row.map_or(&[][..], |row| &self.image[row * line..][..line]);
            for (piece, x) in x.chunks_mut(PIECE * channels).enumerate() {
                let mut bytes = [0; PIECE * MAX_CHANNELS];
                let bytes = &mut bytes[..x.len()];
                let (start, pixels) = (piece * PIECE, x.len() / channels);
                // Columns of the padded image, read forwards; a flipped piece is read from its mirror image.
                let start = offset_column + if flip { width - start - pixels } else { start };
                // Those of them that lie inside of the image.
                let (first, end) = (start.max(self.padding), (start + pixels).min(self.padding + width));
                if first < end && !from.is_empty() {
                    let from = &from[(first - self.padding) * channels..(end - self.padding) * channels];
                    let to = if flip { start + pixels - end } else { first - start } * channels;
                    let to = &mut bytes[to..][..from.len()];
                    if flip { reverse(from, to, channels) } else { to.copy_from_slice(from) }
                }
                Normalise { bytes, x, channels, patterns: self.patterns }.run(s);
            }
        }
    }
}

/// Copies pixels in reverse order, their channels in order.
fn reverse(from: &[u8], to: &mut [u8], channels: usize) {
    fn pixels<const CHANNELS: usize>(from: &[u8], to: &mut [u8]) {
        let from = from.as_chunks::<CHANNELS>().0.iter().rev();
        to.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    match channels {
        1 => pixels::<1>(from, to),
        2 => pixels::<2>(from, to),
        3 => pixels::<3>(from, to),
        _ => pixels::<4>(from, to),
    }
}

/// Fills x and y.
pub(super) fn gather(
    kernel: &Gather,
    cpu: &Cpu,
    clock: &Clock,
    images: &[u8],
    subset: &[u32],
    labels: &[u32],
    x: &mut [f32],
    y: &mut [u32],
) {
    let (channels, values) = (kernel.channels, kernel.values());
    let patterns = &kernel.normalisation().map(|values| pattern(&values, channels));
    let stride = 4 * kernel.image_words();
    let rows_per_task = (TASK / values.max(1)).max(1);
    let (x, y) = (Parts::new(x), Parts::new(y));
    cpu.threads.run(kernel.batch.div_ceil(rows_per_task), &|task| {
        for i in task * rows_per_task..((task + 1) * rows_per_task).min(kernel.batch) {
            let row = kernel.row(i, clock, subset);
            // SAFETY: every row belongs to one task, and rows do not overlap.
            let (x, y) = unsafe { (x.part(i * values..(i + 1) * values), y.part(i..i + 1)) };
            y[0] = labels[row.index];
            let Some(image) = row.image else { continue };
            let image = &images[image * stride..][..values];
            match kernel.augment {
                None => cpu.isa.run(Normalise { bytes: image, x, channels, patterns }),
                Some(augment) => {
                    let drawn = augment.draw(row.position, clock);
                    let Augment { padding, .. } = augment;
                    cpu.isa.run(Augmented { kernel, drawn, padding, image, x, patterns });
                }
            }
        }
    });
}
