//! Hare & Tortoise, and EMA, which is the tortoise without resets (Lee et al., *Slow and Steady Wins the Race*, 2024).
//!
//! After every step: `tortoise <- momentum * tortoise + (1 - momentum) * hare`, parameters and batch-norm statistics.
//! After in-phase epochs 1, 11, 21, ...: `hare <- tortoise`. The optimiser's moments survive the reset. The tortoise
//! predicts.
//!
//! Deviations: Algorithm 1 of the paper writes the average into the hare and counts steps; text and code do the above,
//! and so do we. Its first reset comes after the first unit, as in the code, for it counts from 0 and asks for
//! `step % r = 0`; the text alone has it after the first interval (`first_reset`). In the released code the reset shares
//! memory, so that the next step moves the tortoise by the hare's whole step: `reset_shares_memory` does the same, the
//! default is a true copy.

use engine::{Device, Launch, Network, Parameters, Program};
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
    /// A tortoise equal to the hare, a network with these tensors.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(
        device: &Device,
        parameters: &Parameters,
        hare: &Network,
        momentum: f64,
    ) -> engine::Result<Self> {
        let network = Network::new(device, "tortoise", parameters)?;
        let words = [parameters.words(), parameters.statistics_words()];
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
