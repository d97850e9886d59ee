//! Shapes for tests and benches, and the definitions.

use super::{Append, Draw, Fetch, Ring};
use crate::random::{pcg4d, stream};
use crate::{Case, Clock, Size, Values};
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (capacity, observation) in [(1, 1), (2, 1), (5, 3), (64, 1), (65, 16), (130, 7), (700, 1)] {
        let ring = Ring { capacity, observation };
        for appended in [0, 1, 64, 699, 70_000, u32::MAX] {
            for count in [1, capacity.div_ceil(2), capacity] {
                cases.push(append(Append { ring, count }, appended, Size::Tiny));
            }
            for batch in [1, 65] {
                cases.push(draw(Draw { batch, capacity }, appended, Size::Tiny));
            }
        }
        for batch in [1, 3, 130] {
            cases.push(fetch(Fetch { ring, batch }, Size::Tiny));
        }
    }
    cases.push(draw(Draw { batch: 1000, capacity: 3_000_000_000 }, u32::MAX, Size::Tiny));
    // Images of a data set by their rows, and packed pixels of 84x84, at the batches of classification MDPs.
    for (observation, capacity) in [(1, 100_000), (1764, 1000)] {
        let ring = Ring { capacity, observation };
        cases.push(append(Append { ring, count: 1 }, 123_456, Size::Real));
        for batch in [32, 512] {
            cases.push(draw(Draw { batch, capacity }, 123_456, Size::Real));
            cases.push(fetch(Fetch { ring, batch }, Size::Real));
        }
    }
    cases
}

fn append(kernel: Append, appended: u32, size: Size) -> Case {
    let Append { ring, count } = kernel;
    let row = ring.row();
    Case {
        kernel: Arc::new(kernel),
        clock: Clock { appended, ..Clock::default() },
        inputs: vec![
            Values::Random { len: count * row, stream: 1 },
            Values::Random { len: ring.len(), stream: 2 },
        ],
        expected: Box::new(move |inputs| {
            let (incoming, mut after) = (inputs[0].f64(), inputs[1].f64());
            for i in 0..count * row {
                let slot = (u64::from(appended) + (i / row) as u64) % ring.capacity as u64;
                after[slot as usize * row + i % row] = incoming[i];
            }
            vec![None, Some(after)]
        }),
        tolerance: 0.0,
        size,
    }
}

fn draw(kernel: Draw, appended: u32, size: Size) -> Case {
    let Draw { batch, capacity } = kernel;
    let clock = Clock { seed: 5, step: 77, appended, ..Clock::default() };
    Case {
        kernel: Arc::new(kernel),
        clock,
        inputs: vec![Values::U32(vec![0; batch])],
        expected: Box::new(move |_| {
            let len = u128::from(appended).min(capacity as u128);
            let index = (0..batch as u32).map(|i| {
                let word = pcg4d([i, clock.step, stream::REPLAY, clock.seed])[0];
                (u128::from(word) * len / (1 << 32)) as f64
            });
            vec![Some(index.collect())]
        }),
        tolerance: 0.0,
        size,
    }
}

/// All words are floats here: they are copied whatever they are. A transition may be drawn more than once, and one slot
/// lies beyond the end.
fn fetch(kernel: Fetch, size: Size) -> Case {
    let Fetch { ring, batch } = kernel;
    let (row, words_of) = (ring.row(), ring.observation);
    let drawn = |i| pcg4d([i, 7, 8, 9])[0] % ring.capacity as u32;
    let mut index: Vec<u32> = (0..batch as u32).map(drawn).collect();
    index[batch / 2] = u32::MAX;
    let zeros = |words: usize| Values::F32(vec![0.0; batch * words]);
    Case {
        kernel: Arc::new(kernel),
        clock: Clock::default(),
        inputs: vec![
            Values::Random { len: ring.len(), stream: 2 },
            Values::U32(index),
            zeros(words_of),
            zeros(words_of),
            zeros(1),
            zeros(1),
            zeros(1),
        ],
        expected: Box::new(move |inputs| {
            let (from, index) = (inputs[0].f64(), inputs[1].words());
            let column = |columns: std::ops::Range<usize>| {
                let slots = index.iter().map(|&slot| (slot as usize).min(ring.capacity - 1) * row);
                Some(slots.flat_map(|at| from[at + columns.start..at + columns.end].to_vec()).collect())
            };
            let scalar = |k: usize| column(2 * words_of + k..2 * words_of + k + 1);
            let observations = [column(0..words_of), column(words_of..2 * words_of)];
            let [observation, next_observation] = observations;
            vec![None, None, observation, next_observation, scalar(0), scalar(1), scalar(2)]
        }),
        tolerance: 0.0,
        size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::{Gather, Source};
    use crate::{Arg, Cpu};

    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(cases());
    }

    #[test]
    fn draws_are_even_and_only_among_what_was_appended() {
        let cpu = Cpu::new(1).unwrap();
        let (batch, capacity) = (1000, 50);
        for (appended, len) in [(1, 1), (20, 20), (50, 50), (1234, 50)] {
            let mut counts = vec![0; capacity];
            let mut last = Vec::new();
            for step in 0..40 {
                let mut case = draw(Draw { batch, capacity }, appended, Size::Tiny);
                case.clock.step = step;
                let index = case.run_on_cpu(&cpu).remove(0);
                assert!(len == 1 || index != last, "every step draws its own batch");
                index.iter().for_each(|&slot| counts[slot as usize] += 1);
                last = index;
            }
            // 40,000 / len of each, with a standard deviation below the root of that.
            let mean = 40_000.0 / len as f64;
            let even = |count: &i32| (f64::from(*count) - mean).abs() < 5.0 * mean.sqrt();
            assert!(counts[..len].iter().all(even), "{counts:?}");
            assert!(counts[len..].iter().all(|&count| count == 0), "{counts:?}");
        }
    }

    /// A ring of image rows, and [`crate::gather`] behind it.
    #[test]
    fn images_of_a_data_set_are_fetched_by_the_rows_that_transitions_name() {
        let cpu = Cpu::new(1).unwrap();
        let (ring, batch) = (Ring { capacity: 5, observation: 1 }, 6);
        let mut case = fetch(Fetch { ring, batch }, Size::Tiny);
        let rows = [7, 0, 3, 9, 2];
        case.inputs[0] = Values::U32(rows.iter().flat_map(|&row| [row, row + 1, 4, 0, 0]).collect());
        case.inputs[1] = Values::U32(vec![4, 0, 0, 3, 1, 2]);
        let fetched = case.run_on_cpu(&cpu);
        // Images of one pixel, whose value is ten times their row.
        let images: Vec<u32> = (0..12).map(|row| 10 * row).collect();
        let gather = Gather {
            examples: batch,
            batch,
            height: 1,
            width: 1,
            channels: 1,
            scale: vec![1.0],
            shift: vec![0.0],
            images_rows: images.len(),
            source: Source::Resident,
            shuffle: false,
            augment: None,
        };
        for (observation, expected) in [
            (&fetched[2], [20.0, 70.0, 70.0, 90.0, 0.0, 30.0]),
            (&fetched[3], [30.0, 80.0, 80.0, 100.0, 10.0, 40.0]),
        ] {
            let (mut x, mut y) = (vec![0; batch], vec![0; batch]);
            let read = [&images, observation, &fetched[4]].map(|words| Arg::Read(words));
            let args = read.into_iter().chain([&mut x, &mut y].map(|words| Arg::Write(words)));
            let clock = Clock { step: 3, appended: 5, ..Clock::default() };
            crate::run(&gather, &cpu, &clock, args, &mut []).unwrap();
            assert_eq!(bytemuck::cast_slice::<u32, f32>(&x), expected);
        }
    }

    #[test]
    fn a_full_ring_holds_the_last_transitions() {
        let cpu = Cpu::new(1).unwrap();
        let ring = Ring { capacity: 4, observation: 1 };
        let mut content = vec![0; ring.len()];
        for appended in 0..10 {
            let mut case = append(Append { ring, count: 1 }, appended, Size::Tiny);
            case.inputs = vec![Values::U32(vec![appended; ring.row()]), Values::U32(content)];
            content = case.run_on_cpu(&cpu).remove(1);
        }
        let first: Vec<u32> = content.chunks(ring.row()).map(|row| row[0]).collect();
        assert_eq!(first, [8, 9, 6, 7]);
    }
}
