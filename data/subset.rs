//! Which examples a phase of training sees: warm start, continual learning.
//!
//! Phase k adds a chunk of `int(N * ratio_k)` examples, drawn uniformly from those no earlier phase has used and not
//! balanced over the classes; its training set is the earlier chunks and its own, or as many examples of the earlier chunks
//! as a buffer keeps and its own. (Hare & Tortoise, released code,
//! `src/datasets/dataset.py`.)

use crate::random::{Purpose, Random};

/// `int(n * fraction)`, without the error of binary fractions: a product within 1e-6 of an integer is that integer.
///
/// So 0.29 of 100 is 29, where truncating the floating-point product 28.999999999999996, as Python's
/// `int(100 * 0.29)` does, gives 28. For multiples of 0.1, the only ratios of the released configurations, the two agree.
/// The result is at most `n`; a negative fraction or a NaN counts as 0.
pub fn whole_part(n: usize, fraction: f64) -> usize {
    let product = n as f64 * fraction;
    let nearest = product.round();
    // A float-to-integer cast saturates, and turns a NaN into 0.
    let count = if (product - nearest).abs() < 1e-6 { nearest as usize } else { product as usize };
    count.min(n)
}

/// The chunk of indices below `n` that each phase adds: `ratios.len()` disjoint chunks, chunk k of
/// [`whole_part`]`(n, ratios[k])` indices in random order.
///
/// All chunks are consecutive pieces of one random permutation, which is the same as drawing each uniformly from what
/// earlier phases left. The first chunks do not depend on later ratios. Ratios that add up to more than 1 leave
/// the last chunks shorter; what ratios below 1 leave belongs to no phase. Examples beyond `u32::MAX` are not drawn.
pub fn phase_chunks(n: usize, ratios: &[f64], seed: u64) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..u32::try_from(n).unwrap_or(u32::MAX)).collect();
    Random::new(seed, Purpose::Subset, 0).draw(&mut order, n);
    let mut rest = order.as_slice();
    let mut chunk = |&ratio: &f64| {
        let (head, tail) = rest.split_at(whole_part(n, ratio).min(rest.len()));
        rest = tail;
        head.to_vec()
    };
    ratios.iter().map(&mut chunk).collect()
}

/// The training set of phase `phase` (from 0) with full access to earlier data: chunks 0 to `phase`, in that order.
/// A phase beyond the last has all chunks.
pub fn accumulate(chunks: &[Vec<u32>], phase: usize) -> Vec<u32> {
    chunks.iter().take(phase.saturating_add(1)).flatten().copied().collect()
}

/// The training set of phase `phase` with a buffer of at most `capacity` earlier examples: those of chunks 0 to
/// `phase - 1` that come first in `rank`, in this order, then the phase's own chunk.
///
/// An example that the buffer once dropped never comes back, because the order does not change: a learner with memory for
/// `capacity` examples could do the same.
///
/// # Panics
/// If an index is not below `rank.len()`.
pub fn buffered(chunks: &[Vec<u32>], phase: usize, capacity: usize, rank: &[u32]) -> Vec<u32> {
    let Some(own) = chunks.get(phase) else { return accumulate(chunks, phase) };
    let mut examples = chunks[..phase].concat();
    examples.sort_unstable_by_key(|&index| rank[index as usize]);
    examples.truncate(capacity);
    examples.extend(own);
    examples
}

/// A rank for [`buffered`] that keeps a uniform sample: a random permutation of `0..n`.
pub fn random_rank(n: usize, seed: u64) -> Vec<u32> {
    let mut rank: Vec<u32> = (0..u32::try_from(n).unwrap_or(u32::MAX)).collect();
    Random::new(seed, Purpose::Buffer, 0).draw(&mut rank, n);
    rank
}

/// A rank for [`buffered`] that keeps the first classes: by label, within one label by index. The released code keeps the
/// lowest indices of a set that is sorted by class.
pub fn class_rank(labels: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..labels.len() as u32).collect();
    order.sort_by_key(|&index| labels[index as usize]);
    let mut rank = vec![0; labels.len()];
    for (place, &index) in order.iter().enumerate() {
        rank[index as usize] = place as u32;
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn counts_are_those_of_exact_fractions() {
        for n in [1, 7, 100, 6000, 10_000, 50_000, 60_000, 100_000] {
            for hundredths in 0..=100usize {
                assert_eq!(
                    whole_part(n, hundredths as f64 / 100.0),
                    n * hundredths / 100,
                    "{n} {hundredths}"
                );
            }
        }
        assert_eq!(whole_part(10, 1.0 / 3.0), 3);
        assert_eq!(whole_part(10, 0.999), 9);
        for (fraction, count) in [(-0.5, 0), (f64::NAN, 0), (1.5, 10), (f64::INFINITY, 10)] {
            assert_eq!(whole_part(10, fraction), count, "{fraction}");
        }
    }

    #[test]
    fn chunks_are_disjoint_and_of_exact_size() {
        let schedules: [&[f64]; 6] =
            [&[1.0], &[0.1, 0.9], &[0.1; 10], &[0.29, 0.71], &[0.5, 0.2], &[0.0, 0.4, 0.3]];
        for n in [0, 1, 3, 10, 257, 6000, 60_000] {
            for ratios in schedules {
                for seed in 0..3 {
                    let chunks = phase_chunks(n, ratios, seed);
                    assert_eq!(chunks.len(), ratios.len());
                    for (chunk, &ratio) in chunks.iter().zip(ratios) {
                        assert_eq!(chunk.len(), whole_part(n, ratio), "{n} {ratios:?}");
                    }
                    let all: Vec<u32> = chunks.concat();
                    let distinct: BTreeSet<u32> = all.iter().copied().collect();
                    assert_eq!(distinct.len(), all.len(), "an index appears twice");
                    assert!(all.iter().all(|&index| (index as usize) < n));
                }
            }
        }
        assert_eq!(
            phase_chunks(60_000, &[0.1, 0.9], 1).iter().map(Vec::len).collect::<Vec<_>>(),
            [6000, 54_000]
        );
    }

    #[test]
    fn more_than_everything_leaves_the_last_chunk_short() {
        let lengths: Vec<usize> = phase_chunks(10, &[0.7, 0.7, 0.7], 0).iter().map(Vec::len).collect();
        assert_eq!(lengths, [7, 3, 0]);
    }

    #[test]
    fn chunks_are_uniform_and_not_sorted_by_index() {
        // Mean index and how the halves are hit, in each chunk of a continual run.
        for chunk in phase_chunks(60_000, &[0.1; 10], 4) {
            let mean = chunk.iter().map(|&index| f64::from(index)).sum::<f64>() / chunk.len() as f64;
            // Standard deviation of the mean: 60,000 / sqrt(12 * 6000) = 224.
            assert!((mean - 30_000.0).abs() < 1000.0, "{mean}");
            let rising = chunk.windows(2).filter(|pair| pair[0] < pair[1]).count();
            assert!((2800..3200).contains(&rising), "{rising} of 5999 steps go up");
        }
    }

    #[test]
    fn a_seed_fixes_the_chunks_and_later_ratios_do_not_matter() {
        let chunks = phase_chunks(1000, &[0.1, 0.9], 7);
        assert_eq!(chunks, phase_chunks(1000, &[0.1, 0.9], 7));
        assert_eq!(chunks[0], phase_chunks(1000, &[0.1, 0.2, 0.3], 7)[0]);
        assert_ne!(chunks[0], phase_chunks(1000, &[0.1, 0.9], 8)[0]);
        assert_eq!(phase_chunks(10, &[1.0], 0)[0], PINNED);
    }
    const PINNED: [u32; 10] = [2, 4, 6, 3, 9, 7, 5, 8, 0, 1];

    #[test]
    fn a_phase_sees_its_chunk_after_all_earlier_ones() {
        let chunks = vec![vec![4, 1], vec![], vec![3], vec![0, 2]];
        assert_eq!(accumulate(&chunks, 0), [4, 1]);
        assert_eq!(accumulate(&chunks, 2), [4, 1, 3]);
        assert_eq!(accumulate(&chunks, 3), [4, 1, 3, 0, 2]);
        assert_eq!(accumulate(&chunks, usize::MAX), [4, 1, 3, 0, 2]);
        assert_eq!(accumulate(&[], 0), [0u32; 0]);
    }

    #[test]
    fn a_buffer_keeps_the_first_of_its_order_and_nothing_comes_back() {
        let labels: Vec<u32> = (0..1000).map(|i| i * 7 % 10).collect();
        let chunks = phase_chunks(1000, &[0.1; 10], 3);
        for rank in [random_rank(1000, 3), class_rank(&labels)] {
            let mut before: BTreeSet<u32> = chunks[0].iter().copied().collect();
            for phase in 1..10 {
                let examples = buffered(&chunks, phase, 50, &rank);
                let (kept, own) = examples.split_at(50);
                assert_eq!(own, chunks[phase]);
                assert!(kept.iter().all(|index| before.contains(index)), "phase {phase}");
                let mut earlier = chunks[..phase].concat();
                earlier.sort_by_key(|&index| rank[index as usize]);
                assert_eq!(kept, &earlier[..50]);
                before = examples.into_iter().collect();
            }
        }
        assert_eq!(buffered(&chunks, 0, 50, &random_rank(1000, 3)), chunks[0]);
        assert_eq!(
            buffered(&chunks, 1, 500, &random_rank(1000, 3)).len(),
            200,
            "a buffer with room keeps all"
        );
    }

    #[test]
    fn ranks_are_permutations_and_that_of_classes_is_sorted() {
        let labels = [2, 0, 1, 0, 2, 1, 0];
        assert_eq!(class_rank(&labels), [5, 0, 3, 1, 6, 4, 2]);
        let mut rank = random_rank(100, 8);
        assert_eq!(rank, random_rank(100, 8));
        assert_ne!(rank, random_rank(100, 9));
        rank.sort_unstable();
        assert_eq!(rank, (0..100).collect::<Vec<u32>>());
    }
}
