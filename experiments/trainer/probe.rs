//! Looking at the trained network in evaluation mode on examples that it is trained on.

use super::{EVALUATION_BATCH, Trainer};
use crate::error::Result;
use crate::images::{BatchProgram, Order};
use crate::training_step::record_forward;
use engine::{Device, Graph, Loss, Memory, Plan, Slice};
use kernels::Clock;
use std::collections::HashMap;

/// Forward passes over the first examples of an epoch's order, noisy labels and augmentation included: what the next
/// steps would train on.
#[derive(Debug)]
pub struct Probe {
    device: Device,
    full: Pass,
    last: Option<Pass>,
    batch: usize,
    examples: usize,
}

/// The program for one batch size, and where its outputs lie.
#[derive(Debug)]
struct Pass {
    program: BatchProgram,
    outputs: HashMap<String, Slice>,
}

impl Trainer {
    /// Prepares forward passes of the hare over `examples` of the current phase, or all if it has fewer. `record` adds to
    /// the graph what is to be seen; `buffers` are those that it names, whatever the batch.
    ///
    /// # Errors
    /// Those of the device and of `record`.
    ///
    /// # Panics
    /// Before the first phase has begun: a bug in the caller.
    pub fn probe(
        &mut self,
        examples: usize,
        buffers: &[(&str, Slice)],
        record: &dyn Fn(&mut Graph<'_>, Loss) -> engine::Result<()>,
    ) -> Result<Probe> {
        let phase = self.programs.as_ref().expect("begin_phase comes before a probe");
        let examples = examples.min(phase.examples.len());
        let batch = EVALUATION_BATCH.min(self.rows).min(examples);
        let mut pass = |batch: usize| -> Result<Pass> {
            let (model, memory) = (self.model.as_ref(), &mut self.memory);
            let mut graph = Graph::evaluation(model.parameters());
            graph.set_winograd(memory.winograd);
            let loss = record_forward(&mut graph, model, batch, 0.0)?;
            record(&mut graph, loss)?;
            let (x, y) = memory.inputs(model, batch);
            let mut inputs = vec![("x", x.clone()), ("y", y.clone())];
            inputs.extend(buffers.iter().cloned());
            let arenas = Memory { networks: &[(&memory.network, None)], inputs: &inputs };
            let bound = Plan::new(&graph).bind(&self.device, &arenas, &mut memory.workspace)?;
            let order =
                Order { examples: (&phase.examples, &phase.subset), labels: &phase.labels, shuffle: true };
            let program = self.train.program(&self.device, &order, batch, (x, y), bound.launches)?;
            Ok(Pass { program, outputs: bound.outputs })
        };
        let full = pass(batch)?;
        let rest = examples % batch;
        let last = (rest > 0).then(|| pass(rest)).transpose()?;
        Ok(Probe { device: self.device.clone(), full, last, batch, examples })
    }
}

impl Probe {
    /// Examples that are looked at.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Runs the batches one after the other; `each` may read the outputs of a batch by name.
    ///
    /// # Errors
    /// Those of the device and of `each`.
    pub fn run(
        &self,
        clock: &Clock,
        mut each: impl FnMut(&HashMap<String, Slice>) -> Result<()>,
    ) -> Result<()> {
        for cursor in (0..self.examples).step_by(self.batch) {
            let whole = cursor + self.batch <= self.examples;
            let pass = if whole { &self.full } else { self.last.as_ref().unwrap_or(&self.full) };
            pass.program.run(&self.device, &Clock { cursor: cursor as u32, ..*clock })?;
            each(&pass.outputs)?;
        }
        Ok(())
    }
}
