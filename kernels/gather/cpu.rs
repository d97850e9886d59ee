//! The gather on the CPU: tasks of whole rows, sixteen bytes to sixteen floats at a time.

use super::{Gather, MAX_CHANNELS};
use crate::Cpu;
use crate::kernel::Clock;
use crate::simd::{LANES, Simd, Vectorised};
use crate::threads::Parts;

/// Values of x in one task, at least one row.
const TASK: usize = 16_384;

/// A value per channel, spread over lanes: vector `k % channels` fits values `16 k` to `16 k + 15` of an image,
/// because the pattern repeats after `channels` vectors.
type Pattern = [[f32; LANES]; MAX_CHANNELS];

fn pattern(values: &[f32; MAX_CHANNELS], channels: usize) -> Pattern {
    std::array::from_fn(|k| std::array::from_fn(|lane| values[(k * LANES + lane) % channels]))
}

/// Converts and normalises one image.
struct Normalise<'a> {
    image: &'a [u8],
    x: &'a mut [f32],
    channels: usize,
    scale: &'a Pattern,
    shift: &'a Pattern,
}

impl Vectorised for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (image, image_tail) = self.image.as_chunks::<LANES>();
        let (x, x_tail) = self.x.as_chunks_mut::<LANES>();
        let mut k = 0;
        for (x, bytes) in x.iter_mut().zip(image) {
            s.store(x, s.fma(widen(s, bytes), s.load(&self.scale[k]), s.load(&self.shift[k])));
            k = if k + 1 < self.channels { k + 1 } else { 0 };
        }
        let mut bytes = [0; LANES];
        bytes[..image_tail.len()].copy_from_slice(image_tail);
        let last = s.fma(widen(s, &bytes), s.load(&self.scale[k]), s.load(&self.shift[k]));
        s.store_partial(x_tail, last);
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
    let (scale, shift) = kernel.normalisation();
    let (scale, shift) = (&pattern(&scale, kernel.channels), &pattern(&shift, kernel.channels));
    let stride = 4 * kernel.image_words();
    let rows_per_task = (TASK / kernel.pixels.max(1)).max(1);
    let (x, y) = (Parts::new(x), Parts::new(y));
    cpu.threads.run(kernel.batch.div_ceil(rows_per_task), &|task| {
        for i in task * rows_per_task..((task + 1) * rows_per_task).min(kernel.batch) {
            let (row, index) = kernel.source(i, clock, subset);
            // SAFETY: every row belongs to one task, and rows do not overlap.
            let (x, y) = unsafe { (x.part(i * kernel.pixels..(i + 1) * kernel.pixels), y.part(i..i + 1)) };
            let image = &images[row * stride..][..kernel.pixels];
            cpu.isa.run(Normalise { image, x, channels: kernel.channels, scale, shift });
            y[0] = labels[index];
        }
    });
}
