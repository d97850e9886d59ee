//! When a reset comes: of the hare to the tortoise (`hare-tortoise`), of the optimiser (`optimizer-reset`).
//!
//! `optimizer-reset` sets Adam's moments and its step count to zero; weights and learning rate stay. Hare & Tortoise
//! keeps the moments; joined with `optimizer-reset` it does not, an ablation of our own.

use crate::config::{FirstReset, HareTortoiseOptions, OptimizerResetOptions, ResetUnit};

/// The schedule of resets.
#[derive(Clone, Copy, Debug)]
pub struct Resets {
    interval: usize,
    unit: ResetUnit,
    first: FirstReset,
}

impl Resets {
    /// Resets of the hare.
    pub fn of_hare(options: &HareTortoiseOptions) -> Self {
        Self { interval: options.reset_interval, unit: options.reset_unit, first: options.first_reset }
    }

    /// Resets of the optimiser.
    pub fn of_optimizer(options: &OptimizerResetOptions) -> Self {
        Self { interval: options.interval, unit: options.unit, first: options.first_reset }
    }

    /// Whether a reset is due after `done` steps of the phase.
    pub fn after_step(&self, done: usize) -> bool {
        self.unit == ResetUnit::Steps && self.due(done)
    }

    /// Whether a reset is due after `done` epochs of the phase.
    pub fn after_epoch(&self, done: usize) -> bool {
        self.unit == ResetUnit::Epochs && self.due(done)
    }

    /// Number of resets in epoch `done` of a phase, from 1, that has so many steps: those after a step, and one after
    /// the epoch.
    pub fn in_epoch(&self, done: usize, steps: usize) -> usize {
        let after_steps =
            ((done - 1) * steps + 1..=done * steps).filter(|&step| self.after_step(step)).count();
        after_steps + usize::from(self.after_epoch(done))
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
        let reset = Resets { interval: 10, unit: ResetUnit::Epochs, first };
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
        let reset = Resets { interval: 4000, unit: ResetUnit::Steps, first: FirstReset::AfterInterval };
        assert!(reset.after_step(4000) && !reset.after_step(1) && !reset.after_epoch(4000));
    }
}
