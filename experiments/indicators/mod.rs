//! Indicators of plasticity, logged at every evaluation where `protocol.indicators` is set (Hare & Tortoise 2024,
//! appendix C; formulas: `docs/metrics.md`).
//!
//! The hare is looked at in evaluation mode, on 512 examples that the next steps would train on. What has many numbers is
//! read back and summed in f64: this happens at evaluations only.

mod hessian;
mod memorisation;
mod spectrum;

pub use hessian::HessianIndicators;
pub use memorisation::Memorisation;
pub use spectrum::{effective_rank, singular_values, srank};

use crate::error::Result;
use crate::trainer::{Probe, Trainer, UnitActivity};
use engine::params::Segment;
use engine::{NetworkId, Parameters, Slice, Wanted};
use kernels::Clock;
use kernels::reduce::Activity;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Examples of an evaluation of the indicators, as in the released code.
const EXAMPLES: usize = 512;

/// Share of the singular values that the rank may leave out.
const DELTA: f64 = 0.01;

/// Looks at the hare.
#[derive(Debug)]
pub struct Indicators {
    initial: Vec<f32>,
    /// Values of each unit that are not 0.
    active: UnitActivity,
    probe: Option<Probe>,
}

/// Backbone features of some examples, and the gradient of the mean loss of each batch with respect to them.
#[derive(Debug, Default)]
struct Features {
    values: Vec<f32>,
    gradients: Vec<f32>,
}

impl Indicators {
    /// Finds the groups of units; `seed` is that of the first weights.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(trainer: &Trainer, seed: u32) -> Result<Self> {
        let initial = trainer.model().parameters().initial_values(seed);
        Ok(Self { initial, active: UnitActivity::new(trainer)?, probe: None })
    }

    /// Prepares the passes over examples of a phase.
    ///
    /// # Errors
    /// Those of the device.
    pub fn begin_phase(&mut self, trainer: &mut Trainer) -> Result<()> {
        let probe = self.active.probe(trainer, EXAMPLES, Activity::NonZero, &|graph, loss| {
            if let Some(features) = graph.input_of(NetworkId::FIRST, models::HEAD) {
                let gradients = graph.backward(&[loss.gradient()], &[Wanted::Tensor(features)])?;
                graph.output("features", features);
                graph.output("gradients of features", gradients[0]);
            }
            Ok(())
        })?;
        self.probe = Some(probe);
        Ok(())
    }

    /// Adds the indicators to what an evaluation logs. `trained` says whether the gradients are those of a step of this
    /// phase.
    ///
    /// # Errors
    /// Those of the device.
    pub fn log(
        &self,
        trainer: &Trainer,
        clock: &Clock,
        trained: bool,
        line: &mut Map<String, Value>,
    ) -> Result<()> {
        let Some(probe) = &self.probe else { return Ok(()) };
        let (device, parameters) = (trainer.device(), trainer.model().parameters());
        let words = parameters.words();
        let weights = device.read_f32(&trainer.hare().parameters.slice(0, words))?;
        // Before the probe, which writes the gradients of the head.
        let gradients =
            if trained { device.read_f32(&trainer.gradients().slice(0, words))? } else { Vec::new() };

        let mut features = Features::default();
        self.active.measure(probe, clock, |outputs| {
            let read = |outputs: &HashMap<String, Slice>, name: &str| match outputs.get(name) {
                Some(slice) => device.read_f32(slice),
                None => Ok(Vec::new()),
            };
            features.values.extend(read(outputs, "features")?);
            features.gradients.extend(read(outputs, "gradients of features")?);
            Ok(())
        })?;
        let active = device.read_f32(&self.active.buffer().all())?;

        let mut log = |name: &str, value: f64| line.insert(name.into(), json!(value));
        let zeros = vec![0.0; weights.len()];
        log("weight_magnitude", sum_of_mean_squares(parameters, &weights, &zeros));
        log("weight_magnitude_code", sum_of_scaled_norms(parameters, &weights, &zeros));
        log("weight_distance", sum_of_mean_squares(parameters, &weights, &self.initial));
        log("weight_distance_code", sum_of_scaled_norms(parameters, &weights, &self.initial));
        log("zero_gradient_ratio", zero_ratio(&features.gradients));
        if trained {
            let entries: Vec<f32> = parameters
                .trained()
                .iter()
                .flat_map(|segment| &gradients[segment.range()])
                .copied()
                .collect();
            log("zero_gradient_ratio_code", zero_ratio(&entries));
        }
        log("zero_activation_ratio", zero_ratio(&features.values));
        let groups = self.active.groups().iter();
        let values: usize = groups.map(|group| group.values * group.count * probe.examples()).sum();
        if values > 0 {
            let active: f64 = active.iter().map(|&count| f64::from(count)).sum();
            log("zero_activation_ratio_units", 1.0 - active / values as f64);
        }
        let singular =
            singular_values(&features.values, probe.examples(), features.values.len() / probe.examples());
        log("srank", srank(&singular, DELTA) as f64);
        log("effective_rank", effective_rank(&singular));
        Ok(())
    }
}

/// `Σ_tensors f(squared distance, count)` between two arenas.
fn over_tensors(parameters: &Parameters, weights: &[f32], from: &[f32], f: impl Fn(f64, f64) -> f64) -> f64 {
    let square = |segment: &Segment| -> f64 {
        let pairs = weights[segment.range()].iter().zip(&from[segment.range()]);
        pairs.map(|(w, w0)| (f64::from(*w) - f64::from(*w0)).powi(2)).sum()
    };
    parameters.trained().iter().map(|segment| f(square(segment), segment.len as f64)).sum()
}

/// `Σ_tensors Σ (w - w_0)² / count`: appendix C.
fn sum_of_mean_squares(parameters: &Parameters, weights: &[f32], from: &[f32]) -> f64 {
    over_tensors(parameters, weights, from, |square, count| square / count)
}

/// `Σ_tensors |w - w_0| / count`, with the Euclidean norm: released code.
fn sum_of_scaled_norms(parameters: &Parameters, weights: &[f32], from: &[f32]) -> f64 {
    over_tensors(parameters, weights, from, |square, count| square.sqrt() / count)
}

/// Share of the values that are exactly 0.
fn zero_ratio(values: &[f32]) -> f64 {
    values.iter().filter(|&&value| value == 0.0).count() as f64 / values.len() as f64
}
