//! A random walk beside gradient descent (Lyle and others 2023, Section 4.2, Fig. 2): a second network begins with the
//! agent's first weights and after every update takes a step of the same length in a random direction,
//!
//! ```text
//! w <- w + |online after the update - online before it| z / |z|        z ~ N(0, 1) for each parameter
//! ```
//!
//! Now and then the curvature of both is looked at on the same examples with the same loss, which neither was trained with
//! ([`NoiseLoss`]): the density of the spectrum of its Hessian, and the cosines between the gradients of the examples.
//!
//! The walk is on the host: a step costs a read of the agent's parameters and a write of its own. Whatever it draws follows
//! from seed and number of the update.

use super::Learner;
use crate::checkpoint::{load_arena, save_arena};
use crate::config;
use crate::curvature::{Covariance, NoiseLoss, Spectrum, k_means};
use crate::error::{Error, Result};
use data::Images;
use engine::checkpoint::File;
use engine::params::normal;
use engine::{Device, Network, Parameters};
use kernels::random::pcg4d;
use models::Model;
use serde_json::{Map, Value, json};

/// The stream of the directions: the third word of every counter.
const STREAM: u32 = 0x7761_6c6b;
/// Points of a density.
const POINTS: usize = 2_000;
/// Share of the width of a spectrum that is the variance of the bells of its density.
const VARIANCE: f64 = 1e-5;
/// The matrix of cosines is written down as means over squares, of at most so many on a side.
const CELLS: usize = 128;
/// The device's memory for gradients of examples.
const BYTES: u64 = 1 << 30;

/// A network on a random walk beside that of a learner.
pub(super) struct Walk {
    device: Device,
    options: config::Walk,
    parameters: Parameters,
    model: Box<dyn Model>,
    network: Network,
    loss: NoiseLoss,
    seed: u32,
    first: Vec<f32>,
    /// The learner's parameters after its last update.
    before: Vec<f32>,
    here: Vec<f32>,
    /// Updates that were followed.
    pub(super) steps: u64,
}

impl Walk {
    /// A walk that begins where the learner is.
    ///
    /// # Errors
    /// A network with running statistics; more examples than there are; those of the device.
    pub(super) fn new(
        learner: &Learner,
        model: Box<dyn Model>,
        images: &Images,
        options: &config::Walk,
        seed: u32,
    ) -> Result<Self> {
        let (device, parameters) = (learner.device.clone(), learner.parameters.clone());
        if parameters.statistics_words() > 0 {
            let message = "a [walk] needs a network without running statistics, of which a random step has no new ones: \
                           model.batch_norm and model.spectral_norm must be false";
            return Err(Error::Mismatch(message.into()));
        }
        let first = device.read_f32(&learner.online.parameters.slice(0, parameters.words()))?;
        let network = Network::new(&device, "walk", &parameters)?;
        network.write(&device, &first, &[])?;
        let loss = NoiseLoss::new(&device, model.as_ref(), images, options.examples, seed)?;
        let options = options.clone();
        let (before, here) = (first.clone(), first.clone());
        Ok(Self { device, options, parameters, model, network, loss, seed, first, before, here, steps: 0 })
    }

    /// Follows the learner's last update, if there was one since the last call, and says whether there was.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn follow(&mut self, learner: &Learner) -> Result<bool> {
        if learner.updates() == self.steps {
            return Ok(false);
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
        Ok(true)
    }

    /// Whether both are looked at after the last update.
    pub(super) fn is_due(&self) -> bool {
        self.steps.is_multiple_of(self.options.every)
    }

    /// What both networks look like: a line of metrics.
    ///
    /// # Errors
    /// A spectrum that is not finite; those of the device.
    pub(super) fn look(&self, learner: &Learner, step: u64) -> Result<Map<String, Value>> {
        let mut curvature = Map::new();
        for (name, network, at) in
            [("agent", &learner.online, &self.before), ("walk", &self.network, &self.here)]
        {
            let spectrum = self.loss.spectrum(self.model.as_ref(), network, self.options.hessian_steps)?;
            let cosines = self.loss.covariance(self.model.as_ref(), network, BYTES)?;
            if !spectrum.largest().is_finite() {
                return Err(Error::NoNumber(format!(
                    "the Hessian of the {name} after update {} is not finite",
                    self.steps
                )));
            }
            curvature.insert(name.into(), self.described(&spectrum, &cosines, distance(at, &self.first)));
        }
        let line = json!({ "step": step, "updates": self.steps, "curvature": curvature });
        Ok(line.as_object().cloned().unwrap_or_default())
    }

    fn described(&self, spectrum: &Spectrum, cosines: &Covariance, moved: f64) -> Value {
        let (low, high) = (spectrum.smallest(), spectrum.largest());
        let (from, to) = (low - 0.01, high + 0.01);
        let point = |i: usize| from + (to - from) * i as f64 / (POINTS - 1) as f64;
        let points: Vec<f64> = (0..POINTS).map(point).collect();
        let width = (VARIANCE * (high - low).max(1.0)).sqrt();
        let density: Vec<f64> = spectrum.density(&points, width).into_iter().map(four_digits).collect();
        let n = cosines.n;
        let clusters = k_means(&cosines.cosines, n, self.options.clusters, self.seed);
        let sorted = cosines.reordered(&clusters.order);
        json!({
            "hessian_largest": high,
            "hessian_smallest": low,
            "mean_cosine": cosines.mean(),
            "negative_share": cosines.negative_share(),
            "distance": moved,
            "density": { "from": from, "to": to, "values": density },
            "clusters": clusters.sizes,
            "cells": cells(&sorted),
        })
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
fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

/// A number to four digits: files are read by people too.
fn four_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The matrix as means over squares, in percent, row by row.
fn cells(matrix: &Covariance) -> Vec<i64> {
    let each = matrix.n.div_ceil(CELLS).max(1);
    let side = matrix.n.div_ceil(each);
    let range = |cell: usize| cell * each..((cell + 1) * each).min(matrix.n);
    let mean = |at: usize| {
        let (rows, columns) = (range(at / side), range(at % side));
        let count = (rows.len() * columns.len()) as f64;
        let sum: f64 =
            rows.map(|row| matrix.cosines[row * matrix.n..][columns.clone()].iter().sum::<f64>()).sum();
        (100.0 * sum / count).round() as i64
    };
    (0..side * side).map(mean).collect()
}
