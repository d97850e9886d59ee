//! Label noise: a fixed share of a phase's training labels is wrong.
//!
//! Exactly `int(n * noise)` positions of the phase's whole training set, drawn without replacement, get a random label.
//! The noise is drawn once per phase, stays for all its epochs, and is drawn anew for the whole accumulated set of the
//! next phase. (Hare & Tortoise, released code, `src/datasets/dataset.py`.)

use crate::random::{Purpose, Random};
use crate::subset::whole_part;

/// What a noisy label may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseKind {
    /// Uniform over the other C - 1 classes, never the true one: 50 % noise is 50 % wrong labels. The released code.
    ExcludeTrue,
    /// Uniform over all C classes, so that 1 in C chosen labels stays right. The paper's words.
    Uniform,
}

/// `labels` with noise on exactly [`whole_part`]`(labels.len(), noise)` positions.
///
/// The draw depends on `seed`, `phase` and the number of labels. With fewer than two classes there is no other class:
/// [`NoiseKind::ExcludeTrue`] then leaves the labels as they are.
pub fn noisy_labels(
    labels: &[u32],
    classes: usize,
    noise: f64,
    kind: NoiseKind,
    seed: u64,
    phase: usize,
) -> Vec<u32> {
    let classes = u32::try_from(classes).unwrap_or(u32::MAX);
    let mut noisy = labels.to_vec();
    if classes == 0 || (classes == 1 && kind == NoiseKind::ExcludeTrue) {
        return noisy;
    }
    let mut random = Random::new(seed, Purpose::Noise, phase as u64);
    let mut positions: Vec<usize> = (0..labels.len()).collect();
    for &mut position in random.draw(&mut positions, whole_part(labels.len(), noise)) {
        let label = &mut noisy[position];
        *label = match kind {
            // The draw counts the classes with the true one left out.
            NoiseKind::ExcludeTrue => {
                let drawn = random.below(classes - 1);
                drawn + u32::from(drawn >= *label)
            }
            NoiseKind::Uniform => random.below(classes),
        };
    }
    noisy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(n: usize, classes: usize) -> Vec<u32> {
        (0..n).map(|index| (index * 7 % classes) as u32).collect()
    }

    fn changed(a: &[u32], b: &[u32]) -> usize {
        a.iter().zip(b).filter(|(a, b)| a != b).count()
    }

    #[test]
    fn excluding_the_true_class_changes_exactly_the_share() {
        for n in [0, 1, 2, 3, 10, 257, 6000, 60_000] {
            for classes in [2, 3, 10, 100] {
                for noise in [0.0, 0.1, 0.2, 0.29, 0.3, 0.4, 0.5, 1.0] {
                    let clean = labels(n, classes);
                    let noisy = noisy_labels(&clean, classes, noise, NoiseKind::ExcludeTrue, 3, 1);
                    assert_eq!(changed(&clean, &noisy), whole_part(n, noise), "{n} {classes} {noise}");
                    assert!(noisy.iter().all(|&label| (label as usize) < classes));
                }
            }
        }
        let clean = labels(6000, 10);
        assert_eq!(changed(&clean, &noisy_labels(&clean, 10, 0.5, NoiseKind::ExcludeTrue, 1, 0)), 3000);
    }

    #[test]
    fn wrong_labels_are_uniform_over_the_other_classes() {
        let clean = vec![4; 90_000];
        let noisy = noisy_labels(&clean, 10, 1.0, NoiseKind::ExcludeTrue, 1, 0);
        let mut counts = [0i32; 10];
        noisy.iter().for_each(|&label| counts[label as usize] += 1);
        assert_eq!(counts[4], 0);
        assert!((0..10).filter(|&c| c != 4).all(|c| (counts[c] - 10_000).abs() < 470), "{counts:?}");
    }

    #[test]
    fn uniform_noise_leaves_one_in_ten_right() {
        let clean = labels(60_000, 10);
        let noisy = noisy_labels(&clean, 10, 0.5, NoiseKind::Uniform, 1, 0);
        // Binomial with 30,000 draws at 0.9: mean 27,000, standard deviation 52.
        let wrong = changed(&clean, &noisy);
        assert!(wrong.abs_diff(27_000) < 260, "{wrong}");
        assert!(noisy.iter().all(|&label| label < 10));
    }

    #[test]
    fn positions_are_uniform() {
        let clean = labels(60_000, 10);
        let noisy = noisy_labels(&clean, 10, 0.3, NoiseKind::ExcludeTrue, 9, 0);
        for part in 0..6 {
            let range = part * 10_000..(part + 1) * 10_000;
            let count = changed(&clean[range.clone()], &noisy[range]);
            assert!(count.abs_diff(3000) < 220, "{count} of 10,000 in part {part}");
        }
    }

    #[test]
    fn noise_is_fixed_by_its_seed_and_redrawn_per_phase() {
        let clean = labels(6000, 10);
        let draw = |seed, phase| noisy_labels(&clean, 10, 0.5, NoiseKind::ExcludeTrue, seed, phase);
        assert_eq!(draw(1, 0), draw(1, 0));
        for other in [draw(1, 1), draw(2, 0)] {
            // Two independent halves share a quarter of all positions.
            let both = (0..6000).filter(|&i| other[i] != clean[i] && draw_at(&draw(1, 0), &clean, i)).count();
            assert!(both.abs_diff(1500) < 120, "{both}");
        }
        let short: Vec<u32> = (0..10).collect();
        assert_eq!(noisy_labels(&short, 10, 0.5, NoiseKind::ExcludeTrue, 0, 0), PINNED);
    }
    const PINNED: [u32; 10] = [0, 1, 1, 6, 4, 5, 3, 7, 2, 8];

    fn draw_at(noisy: &[u32], clean: &[u32], index: usize) -> bool {
        noisy[index] != clean[index]
    }

    #[test]
    fn a_single_class_has_no_other() {
        assert_eq!(noisy_labels(&[0; 5], 1, 1.0, NoiseKind::ExcludeTrue, 0, 0), [0; 5]);
        assert_eq!(noisy_labels(&[0; 5], 1, 1.0, NoiseKind::Uniform, 0, 0), [0; 5]);
        assert_eq!(noisy_labels(&[0; 5], 0, 1.0, NoiseKind::Uniform, 0, 0), [0; 5]);
    }
}
