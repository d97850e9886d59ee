//! One network in training on a device: arenas, programs for full and last batches, evaluation, saving.
//!
//! The trainer knows how a step is made; the protocols know when. A step is: gather a batch by index, forward, loss,
//! backward, global-norm clip, the optimiser's update, metrics into the ring. All of it is one program that is replayed.

mod activity;
mod curvature;
mod evaluator;
mod probe;

pub use activity::UnitActivity;
pub(crate) use activity::unit_slices;
pub use curvature::Curvature;
pub use evaluator::{Evaluation, Evaluator};
pub use probe::Probe;

use crate::checkpoint;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::images::{AUGMENT, BatchProgram, DeviceImages, Order};
use crate::optimizer::AnyOptimizer;
use crate::schedule::Phase;
use crate::training_step::{Additions, METRICS, RING_ROWS, StepMemory, record_forward};
use data::DataSet;
use engine::checkpoint::File;
use engine::optim::Optimizer;
use engine::{Buffer, Device, Graph, Launch, Network, Program};
use kernels::Clock;
use kernels::arena::Fill;
use models::Model;
use std::sync::Arc;

/// Examples per launch of an evaluation: no more than a training step has, whose activations take more room.
const EVALUATION_BATCH: usize = 256;

/// One row of the metrics ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepMetrics {
    /// Mean loss of the batch.
    pub loss: f32,
    /// Hits in the batch.
    pub hits: f32,
    /// Gradient norm before clipping.
    pub gradient_norm: f32,
}

/// The examples and programs of a phase.
#[derive(Debug)]
struct PhasePrograms {
    examples: Arc<Vec<u32>>,
    subset: Buffer,
    labels: Buffer,
    full: Option<BatchProgram>,
    last: Option<BatchProgram>,
}

/// A network in training.
#[derive(Debug)]
pub struct Trainer {
    device: Device,
    model: Box<dyn Model>,
    batch: usize,
    /// Examples that the input batch has room for.
    rows: usize,
    memory: StepMemory,
    /// Sets what the optimiser keeps to zero.
    clear: Program,
    ring_words: Vec<u32>,
    train: DeviceImages,
    test: DeviceImages,
    test_labels: Buffer,
    test_order: (Arc<Vec<u32>>, Buffer),
    programs: Option<PhasePrograms>,
}

impl Trainer {
    /// A trainer by this optimiser, with first weights by the config's seed and the data set on the device.
    ///
    /// # Errors
    /// Images that the model does not take; those of the device.
    pub fn new(device: &Device, config: &Config, optimizer: AnyOptimizer, data: &DataSet) -> Result<Self> {
        let model = config.model.build().map_err(Error::Mismatch)?;
        crate::data_set::check(config, data)?;
        let (train, test) = (&data.train, &data.test);
        let rows = config.optimizer.batch.min(train.len()).max(EVALUATION_BATCH.min(test.len()));
        let order: Arc<Vec<u32>> = Arc::new((0..test.len() as u32).collect());
        let normalisation = (data.mean.as_slice(), data.std.as_slice());
        let test_normalisation = (data.test_mean.as_slice(), data.test_std.as_slice());
        let stream = config.run.stream_images;
        let augment = config.data.augment.then_some(AUGMENT);
        let mut memory = StepMemory::new(device, model.as_ref(), optimizer, rows, config.seed)?;
        memory.winograd = config.engine.winograd;
        let clear = memory.moments.iter().map(|(_, moments)| {
            let kernel = Arc::new(Fill { len: moments.words(), value: 0.0 });
            Launch::new("clear moments", kernel, vec![moments.all()])
        });
        Ok(Self {
            batch: config.optimizer.batch,
            rows,
            clear: device.compile(clear.collect())?,
            memory,
            ring_words: vec![0; RING_ROWS * METRICS],
            train: DeviceImages::new(device, train, normalisation, augment, stream, rows)?,
            test: DeviceImages::new(device, test, test_normalisation, None, stream, rows)?,
            test_labels: device.buffer_with("test labels", &test.labels)?,
            test_order: (Arc::clone(&order), device.buffer_with("test order", &order)?),
            programs: None,
            device: device.clone(),
            model,
        })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }
    /// The model.
    pub fn model(&self) -> &dyn Model {
        self.model.as_ref()
    }
    /// The network that is trained.
    pub fn hare(&self) -> &Network {
        &self.memory.network
    }
    /// The memory of its steps.
    pub fn memory(&self) -> &StepMemory {
        &self.memory
    }
    /// What methods add to each step, from the next phase on.
    pub fn set_additions(&mut self, additions: Additions) {
        self.memory.additions = additions;
    }
    /// The gradients of its last step, before clipping.
    pub fn gradients(&self) -> &Buffer {
        &self.memory.gradients
    }
    /// What the optimiser keeps for each parameter, by name.
    pub fn moments(&self) -> &[(&'static str, Buffer)] {
        &self.memory.moments
    }

    /// Whether the model takes the batches of a phase: known before training starts, not hours later.
    ///
    /// # Errors
    /// A last batch of one example, which batch norm cannot take.
    pub fn check_batches(&self, phase: &Phase) -> Result<()> {
        let (n, batch) = (phase.examples.len(), self.batch);
        for rows in [batch.min(n), n % batch].into_iter().filter(|&rows| rows > 0) {
            record_forward(&mut Graph::training(self.model.parameters()), self.model.as_ref(), rows, 0.0)?;
        }
        Ok(())
    }

    /// Makes the programs of a phase: its examples and labels, and its two batch sizes.
    ///
    /// # Errors
    /// Those of the device; a last batch of one example, which batch norm cannot take.
    pub fn begin_phase(&mut self, phase: &Phase) -> Result<()> {
        let examples = Arc::new(phase.examples.clone());
        let subset = self.device.buffer_with("examples of the phase", &examples)?;
        let labels = self.device.buffer_with("labels of the phase", &phase.labels)?;
        let (n, batch) = (examples.len(), self.batch);
        let order = Order { examples: (&examples, &subset), labels: &labels, shuffle: true };
        let mut program =
            |batch: usize, wanted: bool| wanted.then(|| self.training_program(&order, batch)).transpose();
        let full = program(batch, n >= batch)?;
        let last = program(n % batch, n % batch > 0)?;
        self.programs = Some(PhasePrograms { examples, subset, labels, full, last });
        Ok(())
    }

    fn training_program(&mut self, order: &Order<'_>, batch: usize) -> Result<BatchProgram> {
        let step = self.memory.training(&self.device, self.model.as_ref(), batch)?;
        let inputs = self.memory.inputs(self.model.as_ref(), batch);
        self.train.program(&self.device, order, batch, inputs, step.launches)
    }

    /// The program for a batch that starts at `cursor` of the phase's order.
    fn program(&self, cursor: u32, n: usize) -> &BatchProgram {
        let programs = self.programs.as_ref().expect("begin_phase comes before a step");
        let program = if cursor as usize + self.batch <= n { &programs.full } else { &programs.last };
        program.as_ref().expect("begin_phase made a program for each batch size of the phase")
    }

    /// Zero moments: a new optimiser.
    ///
    /// # Errors
    /// Those of the device.
    pub fn clear_moments(&self) -> Result<()> {
        Ok(self.clear.run(&Clock::default())?)
    }

    /// One training step. `t` counts the optimiser's steps from 1; the clock says which batch and which random numbers.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step(&self, clock: &Clock, t: u64, learning_rate: f64, examples: usize) -> Result<()> {
        self.program(clock.cursor, examples).run(&self.device, &self.clock(clock, t, learning_rate))
    }

    /// The same step, looking at every value: the first that is not finite.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step_checked(
        &self,
        clock: &Clock,
        t: u64,
        learning_rate: f64,
        examples: usize,
    ) -> Result<Option<String>> {
        self.program(clock.cursor, examples).run_checked(&self.device, &self.clock(clock, t, learning_rate))
    }

    fn clock(&self, clock: &Clock, t: u64, learning_rate: f64) -> Clock {
        let mut clock = *clock;
        self.memory.optimizer.set_clock(&mut clock, t, learning_rate);
        clock
    }

    /// Metrics of the steps `from..to`, at most [`RING_ROWS`] of them, in order.
    ///
    /// # Errors
    /// Those of the device.
    pub fn metrics(&mut self, from: u64, to: u64, mut each: impl FnMut(u64, StepMetrics)) -> Result<()> {
        if from == to {
            return Ok(());
        }
        assert!(to - from <= RING_ROWS as u64, "the metrics ring was read too late");
        self.device.read_into(&self.memory.ring, 0, &mut self.ring_words)?;
        for step in from..to {
            let row = (step % RING_ROWS as u64) as usize * METRICS;
            let word = |index: usize| f32::from_bits(self.ring_words[row + index]);
            each(step, StepMetrics { loss: word(0), hits: word(1), gradient_norm: word(3) });
        }
        Ok(())
    }

    /// Puts what the optimiser keeps into a file.
    ///
    /// # Errors
    /// Those of the device.
    pub fn save_moments(&self, file: &mut File) -> Result<()> {
        let parameters = self.model.parameters();
        for (name, moments) in self.moments() {
            checkpoint::save_arena(&self.device, parameters, moments, &format!("{name}."), file)?;
        }
        Ok(())
    }

    /// Takes what the optimiser keeps from a file.
    ///
    /// # Errors
    /// The file belongs to another model; those of the device.
    pub fn load_moments(&self, file: &File) -> Result<()> {
        let parameters = self.model.parameters();
        for (name, moments) in self.moments() {
            checkpoint::load_arena(&self.device, parameters, moments, &format!("{name}."), file)?;
        }
        Ok(())
    }
}
