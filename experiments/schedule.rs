//! What each phase trains on, and for how long: drawn from the config before training starts.

use crate::config::{BufferOrder, Config, LastPhase, NoiseLabels, Protocol};
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

/// `int(a / b)`, robust against a quotient that is an integer but for rounding; `a` where b is 0.
fn int_quotient(a: usize, b: f64) -> usize {
    if b == 0.0 { a } else { (a as f64 / b + 1e-9) as usize }
}

/// What a phase adds, and which share of its labels is random.
fn shares(protocol: &Protocol) -> (Vec<f64>, Vec<f64>, NoiseKind) {
    let kind = match protocol.noise_labels {
        NoiseLabels::OtherClasses => NoiseKind::ExcludeTrue,
        NoiseLabels::AllClasses => NoiseKind::Uniform,
    };
    match protocol.label_sets {
        0 => (protocol.ratios.clone(), protocol.noise.clone(), kind),
        sets => {
            let ratios = (0..sets).map(|set| if set == 0 { 1.0 } else { 0.0 }).collect();
            (ratios, vec![1.0; sets], NoiseKind::Uniform)
        }
    }
}

/// How large and how long a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Number of examples.
    pub examples: usize,
    /// Epochs.
    pub epochs: usize,
    /// Steps of an epoch.
    pub batches: usize,
}

/// The lengths of all phases on a training set of `n` images: nothing is drawn.
///
/// # Errors
/// A phase without examples; more steps than can be counted.
pub fn lengths(config: &Config, n: usize) -> Result<Vec<Length>> {
    let protocol = &config.protocol;
    let (ratios, _, _) = shares(protocol);
    let count = ratios.len();
    let (mut earlier, mut steps) = (0, 0u64);
    let mut lengths = Vec::with_capacity(count);
    for (index, &ratio) in ratios.iter().enumerate() {
        let own = data::subset::whole_part(n, ratio).min(n - earlier);
        let kept = if protocol.buffer > 0 { earlier.min(protocol.buffer) } else { earlier };
        let examples = kept + own;
        earlier += own;
        if examples == 0 {
            return Err(Error::Mismatch(format!(
                "phase {index} has no example: protocol.ratios takes {ratio} of {n} images"
            )));
        }
        let epochs = match protocol.last_phase {
            LastPhase::Base if index + 1 == count && count > 1 => protocol.base_epochs,
            _ => int_quotient(protocol.base_epochs, ratio),
        };
        let (epochs, batches) = (epochs.max(1), examples.div_ceil(config.optimizer.batch));
        steps = steps.saturating_add((epochs as u64).saturating_mul(batches as u64));
        if steps > u64::from(u32::MAX) {
            return Err(Error::Mismatch(format!(
                "the run would have {steps} steps by the end of phase {index}, at most {} can be counted: choose a \
                 smaller protocol.base_epochs",
                u32::MAX
            )));
        }
        lengths.push(Length { examples, epochs, batches });
    }
    Ok(lengths)
}

/// All phases of a run, drawn before training starts.
///
/// # Errors
/// As [`lengths`].
pub fn phases(config: &Config, labels: &[u32], classes: usize) -> Result<Vec<Phase>> {
    let (protocol, seed) = (&config.protocol, u64::from(config.seed));
    let (ratios, noise, kind) = shares(protocol);
    let chunks = data::phase_chunks(labels.len(), &ratios, seed);
    let rank = (protocol.buffer > 0).then(|| match protocol.buffer_order {
        BufferOrder::Uniform => data::subset::random_rank(labels.len(), seed),
        BufferOrder::Ascending => data::subset::class_rank(labels),
    });
    let mut phases = Vec::with_capacity(chunks.len());
    for (index, Length { epochs, batches, .. }) in lengths(config, labels.len())?.into_iter().enumerate() {
        let examples = match &rank {
            Some(rank) => data::subset::buffered(&chunks, index, protocol.buffer, rank),
            None => data::accumulate(&chunks, index),
        };
        let clean: Vec<u32> = examples.iter().map(|&row| labels[row as usize]).collect();
        // An optimiser that goes on is warm.
        let warmup = if protocol.label_sets > 0 && index > 0 { 0.0 } else { config.optimizer.warmup };
        phases.push(Phase {
            labels: data::noisy_labels(&clean, classes, noise[index], kind, seed, index),
            epochs,
            batches,
            warmup: data::subset::whole_part(epochs * batches, warmup),
            evaluate_every: int_quotient(protocol.evaluate_every, ratios[index]).max(1),
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

    const CONTINUAL: [&str; 4] = [
        "protocol.ratios=[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]",
        "protocol.noise=[0.5, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0]",
        "protocol.base_epochs=10",
        "protocol.evaluate_every=2",
    ];

    #[test]
    fn continual_learning_in_ten_phases_has_the_published_counts() {
        let labels = labels(50_000);
        let phases = phases(&config(&CONTINUAL), &labels, 10).unwrap();
        assert!(phases.iter().all(|phase| phase.epochs == 100 && phase.evaluate_every == 20));
        let steps: Vec<_> = phases.iter().map(|p| p.batches * p.epochs).collect();
        assert_eq!(steps, [2000, 4000, 5900, 7900, 9800, 11_800, 13_700, 15_700, 17_600, 19_600]);
        let wrong: Vec<_> = phases
            .iter()
            .map(|p| p.examples.iter().zip(&p.labels).filter(|(r, l)| labels[**r as usize] != **l).count())
            .collect();
        assert_eq!(wrong, [2500, 4000, 6000, 6000, 7500, 6000, 7000, 4000, 4500, 0]);
    }

    #[test]
    fn continual_learning_with_a_limited_buffer_has_the_published_counts() {
        let steps = |n| -> Vec<_> {
            let limited = config(&[&CONTINUAL[..], &["protocol.buffer=5000"]].concat());
            lengths(&limited, n).unwrap().iter().map(|phase| phase.batches * phase.epochs).collect()
        };
        let (cifar, tiny_imagenet) = (steps(50_000), steps(100_000));
        assert_eq!((cifar[0], &cifar[1..], cifar.iter().sum::<usize>()), (2000, &[4000; 9][..], 38_000));
        assert_eq!(
            (tiny_imagenet[0], &tiny_imagenet[1..], tiny_imagenet.iter().sum::<usize>()),
            (4000, &[5900; 9][..], 57_100)
        );
        let whole = lengths(&config(&CONTINUAL), 100_000).unwrap();
        assert_eq!(whole.iter().map(|phase| phase.batches * phase.epochs).sum::<usize>(), 215_500);
    }

    /// Classes among the buffered examples of each phase from the second on.
    fn classes_in_the_buffer(order: &str) -> Vec<usize> {
        let labels: Vec<u32> = (0..50_000).map(|i| i * 7 % 10).collect();
        let order = format!("protocol.buffer_order={order}");
        let sets = [&CONTINUAL[..], &["protocol.buffer=5000", &order]].concat();
        let phases = phases(&config(&sets), &labels, 10).unwrap();
        let classes = |phase: &Phase| {
            let mut classes: Vec<u32> =
                phase.examples[..5000].iter().map(|&row| labels[row as usize]).collect();
            classes.sort_unstable();
            classes.dedup();
            classes.len()
        };
        phases[1..].iter().map(classes).collect()
    }

    #[test]
    fn a_uniform_buffer_has_all_classes_and_an_ascending_one_ends_with_two() {
        assert_eq!(classes_in_the_buffer("uniform"), [10; 9]);
        // A phase brings about 500 of each class, so phase k (from 0) keeps the first 10 / k classes.
        assert_eq!(classes_in_the_buffer("ascending")[0], 10);
        assert!((5..=6).contains(&classes_in_the_buffer("ascending")[1]));
        assert_eq!(classes_in_the_buffer("ascending")[6..], [2, 2, 2]);
        assert_eq!(config(&["fidelity=code"]).protocol.buffer_order, BufferOrder::Ascending);
    }

    #[test]
    fn a_sweep_over_ratios_has_the_published_epochs() {
        for (ratio, rest, epochs) in [
            (0.1, 0.9, 1000),
            (0.2, 0.8, 500),
            (0.4, 0.6, 250),
            (0.6, 0.4, 166),
            (0.8, 0.2, 125),
            (1.0, 0.0, 100),
        ] {
            let ratios = format!("protocol.ratios=[{ratio:?}, {rest:?}]");
            let sets = [ratios.as_str(), "protocol.noise=[0.5, 0]", "protocol.last_phase=base"];
            let phases = phases(&config(&sets), &labels(60_000), 10).unwrap();
            assert_eq!((phases[0].epochs, phases[1].epochs), (epochs, 100), "{ratio}");
            assert_eq!(phases[1].examples.len(), 60_000);
            let clean =
                phases[1].examples.iter().zip(&phases[1].labels).all(|(row, label)| row % 10 == *label);
            assert!(clean, "the second phase has the right labels");
        }
        let nothing = config(&[
            "protocol.ratios=[1.0, 0.0]",
            "protocol.noise=[0, 0]",
            "protocol.last_phase=base",
            "protocol.evaluate_every=7",
        ]);
        assert_eq!(phases(&nothing, &labels(100), 10).unwrap()[1].evaluate_every, 7);
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
    fn label_sets_are_random_labels_of_the_same_images() {
        let sets = ["protocol.label_sets=4", "protocol.base_epochs=7", "optimizer.batch=512"];
        let config = config(&[&sets[..], &["protocol.last_phase=by-ratio"]].concat());
        let phases = phases(&config, &labels(5_000), 10).unwrap();
        assert_eq!(phases.len(), 4);
        for phase in &phases {
            assert_eq!((phase.epochs, phase.batches, &phase.examples), (7, 10, &phases[0].examples));
            let right = phase.examples.iter().zip(&phase.labels).filter(|(row, label)| *row % 10 == **label);
            assert!((400..600).contains(&right.count()), "about a tenth is right by chance");
            for class in 0..10 {
                let count = phase.labels.iter().filter(|&&label| label == class).count();
                assert!((400..600).contains(&count), "every class is as likely: {count} of {class}");
            }
        }
        let same = |a: usize, b: usize| {
            phases[a].labels.iter().zip(&phases[b].labels).filter(|(a, b)| a == b).count()
        };
        assert!((400..600).contains(&same(0, 1)) && (400..600).contains(&same(2, 3)), "drawn anew");
        assert_eq!((phases[0].warmup, phases[1].warmup), (7, 0), "one warm-up");
    }

    #[test]
    fn an_empty_phase_is_refused() {
        let sets = ["protocol.ratios=[0.01]", "protocol.noise=[0]"];
        assert!(phases(&config(&sets), &labels(20), 10).unwrap_err().to_string().contains("phase 0"));
    }
}
