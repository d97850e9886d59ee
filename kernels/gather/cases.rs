//! The cases of the gather.

use super::{Augment, Gather, Source};
use crate::case::{Case, Definition, Size, Values};
use crate::kernel::Clock;
use crate::random;
use std::sync::Arc;

/// Scale and shift of up to four channels, all different.
const SCALE: [f32; 4] = [0.0142, 0.0171, 0.0155, 0.5];
const SHIFT: [f32; 4] = [-1.9, -1.6, -1.1, 3.0];

/// A kernel on the whole data set, in order and as it is: batch, height, width, channels, examples, rows of the set.
fn plain([batch, height, width, channels, examples, images_rows]: [usize; 6]) -> Gather {
    Gather {
        examples,
        batch,
        height,
        width,
        channels,
        scale: SCALE[..channels].to_vec(),
        shift: SHIFT[..channels].to_vec(),
        images_rows,
        source: Source::Resident,
        shuffle: false,
        augment: None,
    }
}

/// The cases of this family.
pub(super) fn cases() -> Vec<Case> {
    let crop = |padding, flip| Some(Augment { padding, flip });
    let mut cases = Vec::new();
    // The kernel's shape and the cursor.
    for (index, (shape, cursor)) in [
        ([1, 1, 1, 1, 1, 1], 0),
        ([3, 5, 1, 1, 7, 9], 2),
        ([5, 2, 2, 3, 5, 5], 0),
        ([17, 3, 7, 3, 40, 65], 11),
        ([2, 8, 4, 2, 16, 20], 14),
        ([9, 13, 5, 4, 17, 17], 8),
        ([4, 1, 257, 1, 6, 300], 1),
        // Its images do not fit the smallest binding, but its batch does.
        ([3, 12, 12, 1, 50, 60], 7),
        ([7, 28, 28, 1, 33, 33], 3),
        ([3, 32, 32, 3, 10, 12], 5),
        // The last two rows lie beyond the end and repeat the last example.
        ([5, 7, 3, 3, 13, 14], 10),
        // Lines of several pieces.
        ([2, 2, 600, 3, 4, 4], 0),
    ]
    .into_iter()
    .enumerate()
    {
        let plain = plain(shape);
        let rows = plain.images_rows;
        let flip = crop(index % 5, true);
        let chunk = Source::Chunk { first_row: rows / 3 };
        let half = Gather { images_rows: rows.div_ceil(2), source: chunk, ..plain.clone() };
        let streamed = Gather { images_rows: plain.batch, source: Source::Streamed, ..plain.clone() };
        let kernels = [
            plain.clone(),
            Gather { shuffle: true, ..plain.clone() },
            Gather { shuffle: true, augment: crop(index % 3, false), ..plain.clone() },
            Gather { shuffle: true, augment: flip, ..plain },
            Gather { shuffle: true, ..half.clone() },
            Gather { augment: flip, ..half },
            Gather { shuffle: true, ..streamed.clone() },
            Gather { augment: flip, ..streamed },
        ];
        cases.extend(kernels.map(|kernel| case(kernel, cursor, rows, Size::Tiny)));
    }
    for shape in [
        [256, 28, 28, 1, 6000, 6000],
        [256, 28, 28, 1, 60_000, 60_000],
        [256, 32, 32, 3, 5000, 5000],
        [64, 64, 64, 3, 1000, 1000],
    ] {
        let (plain, rows) = (Gather { shuffle: true, ..plain(shape) }, shape[5]);
        cases.push(case(plain.clone(), 512, rows, Size::Real));
        cases.push(case(Gather { augment: crop(4, true), ..plain }, 512, rows, Size::Real));
    }
    cases
}

/// One kernel on a set of `rows` images.
fn case(kernel: Gather, cursor: usize, rows: usize, size: Size) -> Case {
    let Gather { batch, examples, images_rows, .. } = kernel;
    let clock = Clock { seed: 5, epoch: 2, cursor: cursor as u32, ..Clock::default() };
    let random = |n: usize, stream: u32| (0..n as u32).map(move |i| random::pcg4d([i, stream, 0x6a7, 3])[0]);
    let inputs = vec![
        Values::U32(random(images_rows * kernel.image_words(), 1).collect()),
        Values::U32(random(examples, 2).map(|v| v % rows as u32).collect()),
        Values::U32(random(examples, 3).map(|v| v % 10).collect()),
        Values::Random { len: batch * kernel.values(), stream: 4 },
        Values::U32(vec![0; batch]),
    ];
    let expected = definition(kernel.clone(), clock);
    // A wrong label, row or pixel is off by far more than the rounding of the normalisation.
    Case { kernel: Arc::new(kernel), clock, inputs, expected, tolerance: 1e-6, size }
}

fn definition(kernel: Gather, clock: Clock) -> Definition {
    Box::new(move |inputs| {
        let Gather { batch, height, width, channels, examples, images_rows, .. } = kernel;
        let (images, subset, labels) = (inputs[0].words(), inputs[1].words(), inputs[2].words());
        let (mut x, mut y) = (inputs[3].f64(), Vec::new());
        let words = (height * width * channels).div_ceil(4);
        let byte = |row: usize, h: i64, w: i64, c: usize| {
            if !(0..height as i64).contains(&h) || !(0..width as i64).contains(&w) {
                return 0;
            }
            let value = (h as usize * width + w as usize) * channels + c;
            images[row * words + value / 4].to_le_bytes()[value % 4]
        };
        for i in 0..batch {
            let position = (clock.cursor as usize + i).min(examples - 1) as u32;
            let index = match kernel.shuffle {
                true => random::shuffled(position, examples as u32, clock.seed, clock.epoch),
                false => position,
            } as usize;
            y.push(f64::from(labels[index]));
            let row = match kernel.source {
                Source::Resident => subset[index] as usize,
                Source::Chunk { first_row } => (subset[index] as usize).wrapping_sub(first_row),
                Source::Streamed => i,
            };
            if row >= images_rows {
                continue;
            }
            let [s, t, coin, _] = random::pcg4d([position, clock.epoch, random::stream::AUGMENT, clock.seed]);
            let (mut down, mut right, mut flip) = (0, 0, false);
            if let Some(augment) = kernel.augment {
                let offset = |word: u32| {
                    ((word >> 16) as usize * (2 * augment.padding + 1) / 65536) as i64
                        - augment.padding as i64
                };
                (down, right, flip) = (offset(s), offset(t), augment.flip && coin >= 1 << 31);
            }
            for (h, w) in (0..height).flat_map(|h| (0..width).map(move |w| (h, w))) {
                let column = if flip { width - 1 - w } else { w };
                for c in 0..channels {
                    let byte = byte(row, h as i64 + down, column as i64 + right, c);
                    x[((i * height + h) * width + w) * channels + c] =
                        f64::from(byte) * f64::from(kernel.scale[c]) + f64::from(kernel.shift[c]);
                }
            }
        }
        vec![None, None, None, Some(x), Some(y)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::case::check_on_cpu;

    #[test]
    fn batches_agree_with_their_definition() {
        check_on_cpu(cases());
    }

    #[test]
    fn the_batches_of_an_epoch_visit_every_example_once() {
        let (cpu, examples, batch) = (Cpu::new(1).unwrap(), 60, 12);
        let mut seen = vec![0; examples];
        for step in 0..examples / batch {
            let kernel = Gather { shuffle: true, ..plain([batch, 3, 1, 1, examples, examples]) };
            let mut case = case(kernel, step * batch, examples, Size::Tiny);
            case.inputs[2] = Values::U32((0..examples as u32).collect());
            case.run_on_cpu(&cpu)[4].iter().for_each(|&label| seen[label as usize] += 1);
        }
        assert_eq!(seen, vec![1; examples]);
    }

    /// A set of 40 images, and the batch of 12 that begins at 9, all augmented.
    fn resident() -> (Gather, Case) {
        let augment = Some(Augment { padding: 2, flip: true });
        let kernel = Gather { shuffle: true, augment, ..plain([12, 5, 7, 3, 30, 40]) };
        (kernel.clone(), case(kernel, 9, 40, Size::Tiny))
    }

    #[test]
    fn chunks_and_streams_give_the_same_bits_as_a_resident_set() {
        let cpu = Cpu::new(2).unwrap();
        let (kernel, case) = resident();
        let whole = case.run_on_cpu(&cpu);
        let (images, words) = (case.inputs[0].words(), kernel.image_words());

        let mut x = vec![0; whole[3].len()];
        for (first_row, images_rows) in [(0, 13), (13, 13), (26, 14)] {
            let source = Source::Chunk { first_row };
            let mut chunk = super::case(Gather { source, images_rows, ..kernel.clone() }, 9, 40, Size::Tiny);
            chunk.inputs[0] = Values::U32(images[first_row * words..][..images_rows * words].to_vec());
            chunk.inputs[3] = Values::F32(bytemuck::cast_vec(x));
            let buffers = chunk.run_on_cpu(&cpu);
            assert_eq!(buffers[4], whole[4]);
            x = buffers[3].clone();
        }
        assert_eq!(x, whole[3]);

        let rows = kernel.image_rows(&case.clock, &case.inputs[1].words()).collect::<Vec<_>>();
        let streamed = Gather { source: Source::Streamed, images_rows: 12, ..kernel };
        let mut streamed = super::case(streamed, 9, 40, Size::Tiny);
        let of_batch = rows.iter().flat_map(|&row| images[row * words..][..words].to_vec());
        streamed.inputs[0] = Values::U32(of_batch.collect());
        assert_eq!(streamed.run_on_cpu(&cpu)[3..], whole[3..]);
    }

    #[test]
    fn augmentation_does_not_depend_on_the_size_of_the_batch() {
        let cpu = Cpu::new(2).unwrap();
        let (kernel, whole) = resident();
        let mut x = Vec::new();
        for cursor in [9, 13, 17] {
            x.extend(
                case(Gather { batch: 4, ..kernel.clone() }, cursor, 40, Size::Tiny)
                    .run_on_cpu(&cpu)
                    .remove(3),
            );
        }
        assert_eq!(x, whole.run_on_cpu(&cpu)[3]);
    }

    #[test]
    fn crops_and_flips_are_drawn_evenly() {
        let augment = Augment { padding: 4, flip: true };
        let (n, mut counts, mut same) = (81_000, [0; 162], 0);
        for position in 0..n {
            let clock = Clock { seed: 3, epoch: 7, ..Clock::default() };
            let (s, t, flip) = augment.draw(position, &clock);
            counts[(9 * s + t) * 2 + usize::from(flip)] += 1;
            same += u32::from(augment.draw(position, &Clock { epoch: 8, ..clock }) == (s, t, flip));
        }
        // 500 of each and of the coincidences of two epochs, with a standard deviation of 22.
        assert!(counts.iter().all(|count| (400..600).contains(count)), "{counts:?}");
        assert!((400..600).contains(&same), "{same} draws are those of another epoch");
        let unflipped = Augment { padding: 0, flip: false };
        assert!((0..100).all(|position| unflipped.draw(position, &Clock::default()) == (0, 0, false)));
    }
}
