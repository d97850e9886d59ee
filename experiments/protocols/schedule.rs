//! What each phase trains on, and for how long: drawn from the config before training starts.

use crate::config::{Config, LastPhase, NoiseLabels};
use crate::error::{Error, Result};
use data::NoiseKind;

/// What a phase trains on, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Rows of the training images.
    pub examples: Vec<u32>,
    /// Their labels, noise included.
    pub labels: Vec<u32>,
    /// Epochs.
    pub epochs: usize,
    /// Steps of an epoch; the last batch may be smaller.
    pub batches: usize,
    /// Steps over which the learning rate rises.
    pub warmup: usize,
    /// Epochs of the run between evaluations.
    pub evaluate_every: usize,
}

impl Phase {
    /// Learning rate of step `k` of the phase, from 0.
    pub fn learning_rate(&self, config: &Config, k: u64) -> f64 {
        if self.warmup == 0 {
            config.optimizer.lr
        } else {
            config.optimizer.lr * (k as f64 / self.warmup as f64).min(1.0)
        }
    }
}

/// `int(a / b)`, robust against a quotient that is an integer but for rounding.
fn int_quotient(a: usize, b: f64) -> usize {
    (a as f64 / b + 1e-9) as usize
}

/// All phases of a run, drawn before training starts.
///
/// # Errors
/// A phase without examples.
pub fn phases(config: &Config, labels: &[u32], classes: usize) -> Result<Vec<Phase>> {
    let (protocol, seed) = (&config.protocol, u64::from(config.seed));
    let chunks = data::phase_chunks(labels.len(), &protocol.ratios, seed);
    let kind = match protocol.noise_labels {
        NoiseLabels::OtherClasses => NoiseKind::ExcludeTrue,
        NoiseLabels::AllClasses => NoiseKind::Uniform,
    };
    let count = protocol.ratios.len();
    let mut phases = Vec::with_capacity(count);
    let mut steps = 0u64;
    for (index, (&ratio, &noise)) in protocol.ratios.iter().zip(&protocol.noise).enumerate() {
        let examples = data::accumulate(&chunks, index);
        if examples.is_empty() {
            return Err(Error::Mismatch(format!(
                "phase {index} has no example: protocol.ratios takes {ratio} of {} images",
                labels.len()
            )));
        }
        let clean: Vec<u32> = examples.iter().map(|&row| labels[row as usize]).collect();
        let last = index + 1 == count && count > 1;
        let epochs = match protocol.last_phase {
            LastPhase::Base if last => protocol.base_epochs,
            _ => int_quotient(protocol.base_epochs, ratio),
        };
        let batches = examples.len().div_ceil(config.optimizer.batch);
        steps = steps.saturating_add((epochs as u64).saturating_mul(batches as u64));
        if steps > u64::from(u32::MAX) {
            return Err(Error::Mismatch(format!(
                "the run would have {steps} steps by the end of phase {index}, at most {} can be counted: choose a \
                 smaller protocol.base_epochs",
                u32::MAX
            )));
        }
        phases.push(Phase {
            labels: data::noisy_labels(&clean, classes, noise, kind, seed, index),
            epochs: epochs.max(1),
            batches,
            warmup: data::subset::whole_part(epochs.max(1) * batches, config.optimizer.warmup),
            evaluate_every: int_quotient(protocol.evaluate_every, ratio).max(1),
            examples,
        });
    }
    Ok(phases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_set;

    fn config(sets: &[&str]) -> Config {
        Config::resolve(&sets.iter().map(|set| parse_set(set).unwrap()).collect::<Vec<_>>()).unwrap()
    }

    fn labels(n: u32) -> Vec<u32> {
        (0..n).map(|i| i % 10).collect()
    }

    const WARM: [&str; 2] = ["protocol.ratios=[0.1, 0.9]", "protocol.noise=[0.5, 0]"];

    #[test]
    fn a_warm_start_on_mnist_has_the_published_counts() {
        let labels = labels(60_000);
        let phases = phases(&config(&WARM), &labels, 10).unwrap();
        let counts: Vec<_> =
            phases.iter().map(|p| (p.batches, p.epochs, p.batches * p.epochs, p.warmup)).collect();
        assert_eq!(counts, [(24, 1000, 24_000, 2_400), (235, 111, 26_085, 2_608)]);
        assert_eq!((phases[0].evaluate_every, phases[1].evaluate_every), (50, 5));
        let wrong = |phase: &Phase| {
            phase
                .examples
                .iter()
                .zip(&phase.labels)
                .filter(|(row, label)| labels[**row as usize] != **label)
                .count()
        };
        assert_eq!((wrong(&phases[0]), wrong(&phases[1])), (3_000, 0));
        assert_eq!(
            phases[1].examples[..6_000],
            phases[0].examples[..],
            "the second phase has the first one's images"
        );
    }

    #[test]
    fn fresh_training_has_the_published_counts() {
        let phases = phases(&config(&[]), &labels(60_000), 10).unwrap();
        let phase = &phases[0];
        assert_eq!((phase.batches * phase.epochs, phase.warmup, phase.evaluate_every), (23_500, 2_350, 5));
    }

    #[test]
    fn the_paper_has_100_epochs_in_phase_2_and_noise_over_all_classes() {
        let labels = labels(60_000);
        let mut sets = WARM.to_vec();
        sets.push("fidelity=paper");
        let phases = phases(&config(&sets), &labels, 10).unwrap();
        assert_eq!((phases[0].epochs, phases[1].epochs), (1000, 100));
        let wrong = phases[0]
            .examples
            .iter()
            .zip(&phases[0].labels)
            .filter(|(r, l)| labels[**r as usize] != **l)
            .count();
        assert!((2_600..2_800).contains(&wrong), "a tenth of 3,000 noisy labels stays right: {wrong}");
    }

    #[test]
    fn continual_learning_in_ten_phases_has_the_published_counts() {
        let sets = [
            "protocol.ratios=[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]",
            "protocol.noise=[0.5, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0]",
            "protocol.base_epochs=10",
        ];
        let labels = labels(50_000);
        let phases = phases(&config(&sets), &labels, 10).unwrap();
        let steps: Vec<_> = phases.iter().map(|p| p.batches * p.epochs).collect();
        assert_eq!(steps, [2000, 4000, 5900, 7900, 9800, 11_800, 13_700, 15_700, 17_600, 19_600]);
        let wrong: Vec<_> = phases
            .iter()
            .map(|p| p.examples.iter().zip(&p.labels).filter(|(r, l)| labels[**r as usize] != **l).count())
            .collect();
        assert_eq!(wrong, [2500, 4000, 6000, 6000, 7500, 6000, 7000, 4000, 4500, 0]);
    }

    #[test]
    fn the_learning_rate_rises_from_zero_and_stays() {
        let config = config(&WARM);
        let phase = &phases(&config, &labels(60_000), 10).unwrap()[0];
        let rate = |k| phase.learning_rate(&config, k);
        assert_eq!((rate(0), rate(1_200), rate(2_400), rate(23_999)), (0.0, 0.0005, 0.001, 0.001));
        let none = Phase { warmup: 0, ..phase.clone() };
        assert_eq!(none.learning_rate(&config, 0), 0.001);
    }

    #[test]
    fn an_empty_phase_is_refused() {
        let sets = ["protocol.ratios=[0.01]", "protocol.noise=[0]"];
        assert!(phases(&config(&sets), &labels(20), 10).unwrap_err().to_string().contains("phase 0"));
    }
}
