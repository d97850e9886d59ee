//! A random walk beside gradient descent (Lyle and others 2023, Section 4.2, Fig. 2): a second network begins with the
//! agent's first weights and after every update takes a step of the same length in a random direction,
//!
//! ```text
//! w <- w + |online after the update - online before it| z / |z|        z ~ N(0, 1) for each parameter
//! ```
//!
//! The walk is on the host: a step costs a read of the agent's parameters and a write of its own. Whatever it draws follows
//! from seed and number of the update.

use super::Learner;
use crate::checkpoint::{load_arena, save_arena};
use crate::error::Result;
use engine::checkpoint::File;
use engine::params::normal;
use engine::{Device, Network, Parameters};
use kernels::random::pcg4d;

/// The stream of the directions: the third word of every counter.
const STREAM: u32 = 0x7761_6c6b;

/// A network on a random walk beside that of a learner.
pub(super) struct Walk {
    device: Device,
    parameters: Parameters,
    pub(super) network: Network,
    seed: u32,
    /// The learner's parameters after its last update.
    before: Vec<f32>,
    here: Vec<f32>,
    /// Updates that were followed.
    steps: u64,
}

impl Walk {
    /// A walk that begins where the learner is, whose network has these parameters and no running statistics.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn new(learner: &Learner, first: &[f32], seed: u32) -> Result<Self> {
        let (device, parameters) = (learner.device.clone(), learner.parameters.clone());
        let network = Network::new(&device, "walk", &parameters)?;
        network.write(&device, first, &[])?;
        Ok(Self { device, parameters, network, seed, before: first.into(), here: first.into(), steps: 0 })
    }

    /// Follows the learner's last update, if there was one since the last call.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn follow(&mut self, learner: &Learner) -> Result<()> {
        if learner.updates() == self.steps {
            return Ok(());
        }
        let online = self.device.read_f32(&learner.online.parameters.slice(0, self.parameters.words()))?;
        let length = distance(&online, &self.before);
        let mut direction = vec![0.0f32; online.len()];
        for segment in self.parameters.trained() {
            for (index, four) in direction[segment.range()].chunks_mut(4).enumerate() {
                let at = (segment.offset + 4 * index) as u32;
                let words = pcg4d([at, self.steps as u32, STREAM, self.seed]);
                let [[a, b], [c, d]] = [normal(words[0], words[1]), normal(words[2], words[3])];
                four.iter_mut().zip([a, b, c, d]).for_each(|(to, value)| *to = value);
            }
        }
        let scale = length / distance(&direction, &vec![0.0; direction.len()]);
        for (here, step) in self.here.iter_mut().zip(&direction) {
            *here = (f64::from(*here) + scale * f64::from(*step)) as f32;
        }
        self.network.write(&self.device, &self.here, &[])?;
        self.before = online;
        self.steps += 1;
        Ok(())
    }

    /// Puts the walk into a file.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn save(&self, file: &mut File) -> Result<()> {
        save_arena(&self.device, &self.parameters, &self.network.parameters, "walk.", file)
    }

    /// Goes on behind the learner's last update.
    ///
    /// # Errors
    /// The file belongs to another network; those of the device.
    pub(super) fn load(&mut self, learner: &Learner, file: &File) -> Result<()> {
        load_arena(&self.device, &self.parameters, &self.network.parameters, "walk.", file)?;
        let read =
            |network: &Network| self.device.read_f32(&network.parameters.slice(0, self.parameters.words()));
        (self.here, self.before, self.steps) =
            (read(&self.network)?, read(&learner.online)?, learner.updates());
        Ok(())
    }
}

/// The Euclidean distance.
pub(super) fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}
