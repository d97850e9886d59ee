//! Indicators that need the Hessian of the loss, logged at every evaluation where `protocol.hessian_steps` is not 0
//! (formulas: `docs/metrics.md`).

use crate::error::Result;
use crate::trainer::{Curvature, Trainer};
use kernels::Clock;
use serde_json::{Map, Value, json};

/// Eigenvalues of a smaller share of the largest in magnitude do not count for the rank.
const RANK_THRESHOLD: f64 = 0.01;

/// Looks at the curvature of the hare's loss.
#[derive(Debug)]
pub struct HessianIndicators {
    /// Products of each look.
    steps: usize,
    curvature: Option<Curvature>,
}

impl HessianIndicators {
    /// Prepares nothing yet.
    pub fn new(steps: usize) -> Self {
        Self { steps, curvature: None }
    }

    /// Prepares the products on examples of a phase.
    ///
    /// # Errors
    /// A model with a layer that has no tangent; those of the device.
    pub fn begin_phase(&mut self, trainer: &mut Trainer) -> Result<()> {
        self.curvature = Some(trainer.curvature()?);
        Ok(())
    }

    /// Adds the indicators to what an evaluation logs.
    ///
    /// # Errors
    /// Those of the device.
    pub fn log(&self, clock: &Clock, line: &mut Map<String, Value>) -> Result<()> {
        let Some(curvature) = &self.curvature else { return Ok(()) };
        let spectrum = curvature.spectrum(clock, self.steps)?;
        let mut log = |name: &str, value: f64| line.insert(name.into(), json!(value));
        log("hessian_largest", spectrum.largest());
        log("hessian_smallest", spectrum.smallest());
        log("hessian_rank", spectrum.rank(RANK_THRESHOLD));
        log("hessian_stable_rank", spectrum.stable_rank());
        Ok(())
    }
}
