//! `[probe]`: how plastic the network still is, measured now and then.

use super::super::Error;
use super::super::check::refused;
use serde::{Deserialize, Serialize};

/// Probe tasks (`docs/plasticity.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Updates between two probes, of which the first comes before all updates and the last at the end; 0 in a file means
    /// none, as a file without the section does.
    pub every: u64,
    /// Random functions that the network is to learn.
    pub functions: usize,
    /// Training steps for each.
    pub steps: u64,
    /// States of the replay that they are learnt on.
    pub inputs: usize,
    /// Networks of first weights that are measured on the same states.
    pub fresh: usize,
}

impl Probe {
    pub(super) fn defaults() -> Self {
        Self { every: 5_000, functions: 10, steps: 2_000, inputs: 2_048, fresh: 1 }
    }

    pub(super) fn check(&self, learning_starts: u64, n_step: u32) -> Result<(), Error> {
        let at_least_one = "it must be at least 1, and at most 1000000";
        for (key, size) in [
            ("probe.functions", self.functions as u64),
            ("probe.steps", self.steps),
            ("probe.inputs", self.inputs as u64),
        ] {
            if !(1..=1_000_000).contains(&size) {
                return Err(refused(key, size, at_least_one));
            }
        }
        if self.fresh > 1_000 {
            return Err(refused("probe.fresh", self.fresh, "it must be at most 1000"));
        }
        // TOML has no greater whole numbers.
        if self.every > 1 << 53 {
            return Err(refused("probe.every", self.every, "there are not as many updates"));
        }
        let least = u64::from(n_step) + 1;
        if self.every > 0 && learning_starts < least {
            let reason = format!(
                "the first probe comes before the first update, and needs states in the replay: set \
                 agent.learning_starts to {least} at least"
            );
            return Err(refused("probe.every", self.every, &reason));
        }
        Ok(())
    }

    /// Whether a probe is due after so many steps, of which each one's updates `updates_after` tells.
    pub fn is_due(&self, step: u64, steps: u64, updates_after: impl Fn(u64) -> u64) -> bool {
        if step == 0 {
            return false;
        }
        let updates = updates_after(step);
        match updates {
            // The last moment before the first update.
            0 => updates_after(step + 1) > 0 || step == steps,
            _ => updates / self.every > updates_after(step - 1) / self.every || step == steps,
        }
    }
}
