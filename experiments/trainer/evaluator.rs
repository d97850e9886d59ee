//! Evaluating a network on the test set.

use super::{EVALUATION_BATCH, Trainer};
use crate::error::Result;
use crate::images::{BatchProgram, Order};
use crate::training_step::METRICS;
use engine::{Buffer, Device, Network};
use kernels::Clock;

/// Mean loss and hit rates over the test set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of hits.
    pub top1: f64,
    /// Share with the true class among the best five.
    pub top5: f64,
}

/// The prepared evaluation of one network.
#[derive(Debug)]
pub struct Evaluator {
    device: Device,
    full: BatchProgram,
    last: Option<BatchProgram>,
    ring: Buffer,
    examples: usize,
    batch: usize,
}

impl Trainer {
    /// Prepares the evaluation of a network on the test set.
    ///
    /// # Errors
    /// Those of the device.
    pub fn evaluator(&mut self, network: &Network) -> Result<Evaluator> {
        let n = self.test.len();
        let batch = EVALUATION_BATCH.min(n);
        let rows = n.div_ceil(batch);
        let ring = self.device.buffer("evaluation metrics", rows * METRICS)?;
        let order = Order {
            examples: (&self.test_order.0, &self.test_order.1),
            labels: &self.test_labels,
            shuffle: false,
        };
        let mut program = |batch: usize| -> Result<BatchProgram> {
            let model = self.model.as_ref();
            let step = self.memory.evaluation(&self.device, model, network, batch, &ring, rows)?;
            let inputs = self.memory.inputs(model, batch);
            self.test.program(&self.device, &order, batch, inputs, step.launches)
        };
        let full = program(batch)?;
        let rest = n % batch;
        let last = (rest > 0).then(|| program(rest)).transpose()?;
        Ok(Evaluator { device: self.device.clone(), full, last, ring, examples: n, batch })
    }
}

impl Evaluator {
    /// Loss and hit rates over the whole test set.
    ///
    /// # Errors
    /// Those of the device.
    pub fn evaluate(&self) -> Result<Evaluation> {
        let batches = self.examples.div_ceil(self.batch);
        for index in 0..batches {
            let cursor = index * self.batch;
            let clock = Clock { cursor: cursor as u32, slot: index as u32, ..Clock::default() };
            let whole = cursor + self.batch <= self.examples;
            let program = if whole { &self.full } else { self.last.as_ref().unwrap_or(&self.full) };
            program.run(&self.device, &clock)?;
        }
        let words = self.device.read_f32(&self.ring.slice(0, batches * METRICS))?;
        let (mut loss, mut top1, mut top5) = (0.0, 0.0, 0.0);
        for (index, row) in words.chunks(METRICS).enumerate() {
            let rows = self.batch.min(self.examples - index * self.batch) as f64;
            loss += f64::from(row[0]) * rows;
            top1 += f64::from(row[1]);
            top5 += f64::from(row[2]);
        }
        let n = self.examples as f64;
        Ok(Evaluation { loss: loss / n, top1: top1 / n, top5: top5 / n })
    }
}
