//! The curvature of an agent's network while it learns (Lyle and others 2023, figures 2 and 19 to 22): the density of the
//! spectrum of the Hessian, and the cosines between the gradients of single examples, of a loss that the network was not
//! trained with ([`NoiseLoss`]). With a random walk beside it ([`super::walk`]) both networks are looked at.

use super::Learner;
use super::walk::{Walk, distance};
use crate::config;
use crate::curvature::{Covariance, NoiseLoss, Spectrum, k_means};
use crate::error::{Error, Result};
use data::Images;
use engine::checkpoint::File;
use engine::{Device, Network, Parameters};
use models::Model;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// Points of a density.
const POINTS: usize = 2_000;
/// Share of the width of a spectrum that is the variance of the bells of its density.
const VARIANCE: f64 = 1e-5;
/// The matrix of cosines is written down as means over squares, of at most so many on a side.
const CELLS: usize = 128;
/// The device's memory for gradients of examples.
const BYTES: u64 = 1 << 30;

/// Looks at the online network of a learner now and then.
pub(super) struct Curvature {
    device: Device,
    options: config::Curvature,
    parameters: Parameters,
    model: Box<dyn Model>,
    loss: NoiseLoss,
    seed: u32,
    first: Vec<f32>,
    walk: Option<Walk>,
}

impl Curvature {
    /// Of a learner that has not learnt yet.
    ///
    /// # Errors
    /// A network with running statistics; more examples than there are; those of the device.
    pub(super) fn new(
        learner: &Learner,
        model: Box<dyn Model>,
        images: &Images,
        options: &config::Curvature,
        seed: u32,
    ) -> Result<Self> {
        let (device, parameters) = (learner.device.clone(), learner.parameters.clone());
        if parameters.statistics_words() > 0 {
            let message = "[curvature] needs a network without running statistics, which have no tangent and no random step: mlp without \
                 model.batch_norm and model.spectral_norm, cnn, or vit-block";
            return Err(Error::Mismatch(message.into()));
        }
        let first = device.read_f32(&learner.online.parameters.slice(0, parameters.words()))?;
        let loss = NoiseLoss::new(&device, model.as_ref(), images, options.examples, seed)?;
        let walk = options.walk.then(|| Walk::new(learner, &first, seed)).transpose()?;
        let options = options.clone();
        Ok(Self { device, options, parameters, model, loss, seed, first, walk })
    }

    /// Follows the updates since the last call, of which there is one at most where there is a walk.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn follow(&mut self, learner: &Learner) -> Result<()> {
        self.walk.as_mut().map_or(Ok(()), |walk| walk.follow(learner))
    }

    /// Whether the networks are to be looked at after so many updates, where they were last after `looked`.
    pub(super) fn is_due(&self, updates: u64, looked: Option<u64>) -> bool {
        looked.is_none_or(|looked| updates / self.options.every > looked / self.options.every)
    }

    /// What the networks look like: a line of metrics, or nothing once `stop` is set.
    ///
    /// # Errors
    /// A spectrum or gradients that are not finite; those of the device.
    pub(super) fn look(
        &self,
        learner: &Learner,
        step: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Map<String, Value>>> {
        let updates = learner.updates();
        let mut curvature = Map::new();
        let walk = self.walk.as_ref().map(|walk| ("walk", &walk.network));
        for (name, network) in [("agent", &learner.online)].into_iter().chain(walk) {
            let (model, steps) = (self.model.as_ref(), self.options.hessian_steps);
            let Some(spectrum) = self.loss.spectrum(model, network, steps, stop)? else { return Ok(None) };
            let not_finite = |what: &str| {
                Error::NoNumber(format!(
                    "{what} of the {name} after update {updates}: not finite; a smaller optimizer.lr may help"
                ))
            };
            if !spectrum.largest().is_finite() {
                return Err(not_finite("the Hessian"));
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let cosines = self.loss.covariance(model, network, BYTES).map_err(|error| match error {
                Error::NoNumber(_) => not_finite("the gradient of an example"),
                other => other,
            })?;
            curvature.insert(name.into(), self.described(&spectrum, &cosines, self.moved(network)?));
        }
        let line = json!({ "step": step, "updates": updates, "curvature": curvature });
        Ok(line.as_object().cloned())
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

    /// How far a network is from the first weights.
    fn moved(&self, network: &Network) -> Result<f64> {
        let here = self.device.read_f32(&network.parameters.slice(0, self.parameters.words()))?;
        Ok(distance(&here, &self.first))
    }

    /// Puts what is beside the learner into a file.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn save(&self, file: &mut File) -> Result<()> {
        self.walk.as_ref().map_or(Ok(()), |walk| walk.save(file))
    }

    /// Goes on behind the learner's last update.
    ///
    /// # Errors
    /// The file belongs to another network; those of the device.
    pub(super) fn load(&mut self, learner: &Learner, file: &File) -> Result<()> {
        self.walk.as_mut().map_or(Ok(()), |walk| walk.load(learner, file))
    }
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
