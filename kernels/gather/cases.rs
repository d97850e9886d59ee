//! The cases of the gather.

use super::Gather;
use crate::case::{Case, Definition, Size, Values};
use crate::kernel::Clock;
use crate::random;
use std::sync::Arc;

/// Scale and shift of up to four channels, all different.
const SCALE: [f32; 4] = [0.0142, 0.0171, 0.0155, 0.5];
const SHIFT: [f32; 4] = [-1.9, -1.6, -1.1, 3.0];

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for shuffle in [false, true] {
        // [batch, pixels, channels, examples, images_rows, cursor]
        for shape in [
            [1, 1, 1, 1, 1, 0],
            [3, 5, 1, 7, 9, 2],
            [5, 12, 3, 5, 5, 0],
            [17, 63, 3, 40, 65, 11],
            [2, 64, 2, 16, 20, 14],
            [9, 65, 4, 17, 17, 8],
            [4, 257, 1, 6, 300, 1],
            [7, 784, 1, 33, 33, 3],
            [3, 3072, 3, 10, 12, 5],
            // The last two rows lie beyond the end and repeat the last example.
            [5, 21, 3, 13, 14, 10],
        ] {
            cases.push(case(shape, shuffle, Size::Tiny));
        }
    }
    cases.push(case([256, 784, 1, 6000, 6000, 512], true, Size::Real));
    cases.push(case([256, 784, 1, 60_000, 60_000, 512], true, Size::Real));
    cases.push(case([256, 3072, 3, 5000, 5000, 512], true, Size::Real));
    cases
}

fn case(shape: [usize; 6], shuffle: bool, size: Size) -> Case {
    let [batch, pixels, channels, examples, images_rows, cursor] = shape;
    let clock = Clock { seed: 5, epoch: 2, cursor: cursor as u32, ..Clock::default() };
    let random = |n: usize, stream: u32| (0..n as u32).map(move |i| random::pcg4d([i, stream, 0x6a7, 3])[0]);
    let words = pixels.div_ceil(4);
    let inputs = vec![
        Values::U32(random(images_rows * words, 1).collect()),
        Values::U32(random(examples, 2).map(|v| v % images_rows as u32).collect()),
        Values::U32(random(examples, 3).map(|v| v % 10).collect()),
        Values::F32(vec![0.0; batch * pixels]),
        Values::U32(vec![0; batch]),
    ];
    let (scale, shift) = (SCALE[..channels].to_vec(), SHIFT[..channels].to_vec());
    let (factors, summands) = (scale.clone(), shift.clone());
    let expected: Definition = Box::new(move |inputs| {
        let (images, subset, labels) = (inputs[0].words(), inputs[1].words(), inputs[2].words());
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for position in cursor..cursor + batch {
            let position = position.min(examples - 1) as u32;
            let index = match shuffle {
                true => random::shuffled(position, examples as u32, clock.seed, clock.epoch),
                false => position,
            } as usize;
            for p in 0..pixels {
                let byte = images[subset[index] as usize * words + p / 4].to_le_bytes()[p % 4];
                let c = p % channels;
                x.push(f64::from(byte) * f64::from(factors[c]) + f64::from(summands[c]));
            }
            y.push(f64::from(labels[index]));
        }
        vec![None, None, None, Some(x), Some(y)]
    });
    let kernel = Gather { examples, batch, pixels, channels, scale, shift, images_rows, shuffle };
    // A wrong label or row is off by far more than the rounding of the normalisation.
    Case { kernel: Arc::new(kernel), clock, inputs, expected, tolerance: 1e-6, size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::check_on_cpu;

    #[test]
    fn batches_agree_with_their_definition() {
        check_on_cpu(cases());
    }

    #[test]
    fn the_batches_of_an_epoch_visit_every_example_once() {
        let (cpu, examples, batch) = (crate::Cpu::new(1), 60, 12);
        let mut seen = vec![0; examples];
        for step in 0..examples / batch {
            let mut case = case([batch, 3, 1, examples, examples, step * batch], true, Size::Tiny);
            case.inputs[2] = Values::U32((0..examples as u32).collect());
            case.run_on_cpu(&cpu)[4].iter().for_each(|&label| seen[label as usize] += 1);
        }
        assert_eq!(seen, vec![1; examples]);
    }
}
