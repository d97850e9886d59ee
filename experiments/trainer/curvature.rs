//! The curvature of the loss of the network in training.

use super::{EVALUATION_BATCH, Trainer};
use crate::curvature::{HessianMemory, Spectrum};
use crate::error::Result;
use crate::images::{BatchProgram, Order};
use engine::Device;
use kernels::Clock;

/// Products with the Hessian of the hare's loss on a batch of the current phase.
#[derive(Debug)]
pub struct Curvature {
    device: Device,
    memory: HessianMemory,
    program: BatchProgram,
}

impl Trainer {
    /// Prepares the products, on the first 256 examples of an epoch's order, or all if the phase has fewer: noisy labels and
    /// augmentation included.
    ///
    /// # Errors
    /// A model with a layer that has no tangent; those of the device.
    ///
    /// # Panics
    /// Before the first phase has begun: a bug in the caller.
    pub fn curvature(&mut self) -> Result<Curvature> {
        let phase = self.programs.as_ref().expect("begin_phase comes before a look at the curvature");
        let batch = EVALUATION_BATCH.min(self.rows).min(phase.examples.len());
        let hessian = HessianMemory::new(&self.device, self.model.parameters())?;
        let (model, memory) = (self.model.as_ref(), &mut self.memory);
        let inputs = memory.inputs(model, batch);
        let launches =
            hessian.launches(model, &memory.network, batch, inputs.clone(), &mut memory.workspace)?;
        let order =
            Order { examples: (&phase.examples, &phase.subset), labels: &phase.labels, shuffle: true };
        let program = self.train.program(&self.device, &order, batch, inputs, launches)?;
        Ok(Curvature { device: self.device.clone(), memory: hessian, program })
    }
}

impl Curvature {
    /// The spectrum as one start vector and `steps` products show it. The vector follows from the clock's seed alone, so
    /// that evaluations of a run differ by the network.
    ///
    /// # Errors
    /// Those of the device.
    pub fn spectrum(&self, clock: &Clock, steps: usize) -> Result<Spectrum> {
        let clock = Clock { cursor: 0, ..*clock };
        Spectrum::of(self.memory.words(), self.memory.used(), [1, steps], clock.seed, |v| {
            self.memory.apply(v, || self.program.run(&self.device, &clock))
        })
    }
}
