//! Hare & Tortoise, and EMA, which is the tortoise without resets (Lee et al., *Slow and Steady Wins the Race*, 2024).
//!
//! After every step: `tortoise <- momentum * tortoise + (1 - momentum) * hare`, parameters and batch-norm statistics.
//! After in-phase epochs 1, 11, 21, ...: `hare <- tortoise`. The optimiser's moments survive the reset. The tortoise
//! predicts.
//!
//! Deviations: Algorithm 1 of the paper writes the average into the hare and resets on `step % r`; text and code do the
//! above, and so do we. In the released code the reset shares memory, so that the next step moves the tortoise by the
//! hare's whole step: `reset_shares_memory` does the same, the default is a true copy.

use crate::config::{Config, FirstReset, ResetUnit};
use crate::trainer::Trainer;
use crate::training_step::Network;
use engine::{Launch, Program};
use kernels::arena::{Blend, Copy};
use kernels::{Clock, Kernel};
use std::sync::Arc;

/// The slow copy of the network.
#[derive(Debug)]
pub struct Tortoise {
    network: Network,
    follow: Program,
    become_hare: Program,
    pull: Program,
}

impl Tortoise {
    /// A tortoise equal to the hare.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(trainer: &Trainer, momentum: f64) -> engine::Result<Self> {
        let (device, hare) = (trainer.device(), trainer.hare());
        let network = Network::new(device, "tortoise", trainer.model().parameters())?;
        let words = [trainer.model().parameters().words(), trainer.model().parameters().statistics_words()];
        let program =
            |label: &str, target: &Network, source: &Network, kernel: &dyn Fn(usize) -> Arc<dyn Kernel>| {
                let pairs =
                    [(&target.parameters, &source.parameters), (&target.statistics, &source.statistics)];
                let launches = pairs
                    .into_iter()
                    .zip(words)
                    .filter(|(_, len)| *len > 0)
                    .map(|((target, source), len)| Launch {
                        label: label.to_string(),
                        kernel: kernel(len),
                        slices: vec![target.slice(0, len), source.slice(0, len)],
                    })
                    .collect();
                device.compile(launches)
            };
        let blend = |len| Arc::new(Blend { len, keep: momentum }) as Arc<dyn Kernel>;
        let copy = |len| Arc::new(Copy { len }) as Arc<dyn Kernel>;
        let tortoise = Self {
            follow: program("tortoise follows", &network, hare, &blend)?,
            become_hare: program("tortoise becomes hare", &network, hare, &copy)?,
            pull: program("hare becomes tortoise", hare, &network, &copy)?,
            network,
        };
        tortoise.become_hare.run(&Clock::default())?;
        Ok(tortoise)
    }

    /// Its parameters and statistics.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// One step of the average.
    ///
    /// # Errors
    /// Those of the device.
    pub fn follow(&self) -> engine::Result<()> {
        self.follow.run(&Clock::default())
    }

    /// The step after a reset that shared memory: the tortoise is where the hare went.
    ///
    /// # Errors
    /// Those of the device.
    pub fn become_hare(&self) -> engine::Result<()> {
        self.become_hare.run(&Clock::default())
    }

    /// The reset: the hare becomes the tortoise.
    ///
    /// # Errors
    /// Those of the device.
    pub fn pull_hare(&self) -> engine::Result<()> {
        self.pull.run(&Clock::default())
    }
}

/// When the hare is reset.
#[derive(Clone, Copy, Debug)]
pub struct HareReset {
    interval: usize,
    unit: ResetUnit,
    first: FirstReset,
}

impl HareReset {
    /// The schedule of a config; `None` without `hare-tortoise`.
    pub fn new(config: &Config) -> Option<Self> {
        let intervention = &config.intervention;
        config.has("hare-tortoise").then_some(Self {
            interval: intervention.reset_interval,
            unit: intervention.reset_unit,
            first: intervention.first_reset,
        })
    }

    /// Whether a reset is due after `done` steps of the phase.
    pub fn after_step(&self, done: usize) -> bool {
        self.unit == ResetUnit::Steps && self.due(done)
    }

    /// Whether a reset is due after `done` epochs of the phase.
    pub fn after_epoch(&self, done: usize) -> bool {
        self.unit == ResetUnit::Epochs && self.due(done)
    }

    fn due(&self, done: usize) -> bool {
        match self.first {
            FirstReset::AfterOne => (done - 1).is_multiple_of(self.interval),
            FirstReset::AfterInterval => done.is_multiple_of(self.interval),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(first: FirstReset, epochs: usize) -> Vec<usize> {
        let reset = HareReset { interval: 10, unit: ResetUnit::Epochs, first };
        (1..=epochs).filter(|&done| reset.after_epoch(done)).collect()
    }

    #[test]
    fn resets_come_after_epochs_1_11_21_and_so_on() {
        // 100 resets in phase 1, 12 in phase 2, 10 in a phase of 100 epochs: the released code's counts.
        assert_eq!(epochs(FirstReset::AfterOne, 25), [1, 11, 21]);
        assert_eq!(epochs(FirstReset::AfterOne, 1000).len(), 100);
        assert_eq!(epochs(FirstReset::AfterOne, 111).len(), 12);
        assert_eq!(epochs(FirstReset::AfterOne, 111).last(), Some(&111));
        assert_eq!(epochs(FirstReset::AfterInterval, 100), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    }

    #[test]
    fn a_schedule_in_steps_ignores_epochs() {
        let reset = HareReset { interval: 4000, unit: ResetUnit::Steps, first: FirstReset::AfterInterval };
        assert!(reset.after_step(4000) && !reset.after_step(1) && !reset.after_epoch(4000));
    }
}
