//! One network that learns random functions, with all that it needs.

use super::functions::RandomFunctions;
use super::predictor::Predictor;
use super::task::{FunctionResult, Options, Predictions};
use crate::error::{Error, Result};
use engine::optim::{Optimizer, OptimizerMemory};
use engine::{
    Buffer, Clock, Device, Graph, Launch, Memory, Network, NetworkId, Plan, Program, Slice, Wanted, Workspace,
};
use kernels::arena::Fill;
use kernels::gather::Take;
use kernels::replay::Draw;
use models::Model;
use std::sync::Arc;

/// Steps between two points of a curve.
const CURVE: u64 = 50;

/// A network that learns one function after another.
pub(super) struct Member {
    device: Device,
    options: Options,
    network: Network,
    inputs: Buffer,
    targets: Buffer,
    clear: Program,
    train: Program,
    /// What the network predicted for the batch, and what it should have.
    batch: [Slice; 2],
    trained: Predictor,
    functions: RandomFunctions,
    predictions: Vec<f32>,
    target: Vec<f32>,
    seen: [Vec<f32>; 2],
}

impl Member {
    /// For networks of this model on the rows in `inputs`.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn new(
        device: Device,
        (model, predictions): (&dyn Model, &dyn Predictions),
        options: Options,
        optimizer: &dyn Optimizer,
        inputs: &Buffer,
    ) -> Result<Self> {
        let (parameters, input) = (model.parameters(), model.input());
        let Options { inputs: rows, batch, seed, .. } = options;
        let pixels = input.image_size * input.image_size * input.channels;
        let network = Network::new(&device, "probe", parameters)?;
        let words = parameters.words();
        let gradients = device.buffer("gradients", words)?;
        let states = optimizer.states().iter().map(|name| device.buffer(name, words));
        let states = states.collect::<engine::Result<Vec<Buffer>>>()?;
        let clear = states.iter().map(|state| {
            let fill = Fill { len: state.words(), value: 0.0 };
            Launch::new("clear moments", Arc::new(fill), vec![state.all()])
        });
        let clear = device.compile(clear.collect())?;
        let mut workspace = Workspace::default();
        let (table, of) = ((inputs, rows), |graph: &mut Graph<'_>, outputs| predictions.of(graph, outputs));
        let trained = Predictor::new(&device, (model, &of), &network, table, &mut workspace)?;
        let width = trained.width();
        let targets = device.buffer("targets of the probe", rows * width)?;

        let vector = |name: &str, words: usize| -> Result<Slice> {
            Ok(device.buffer(name, batch * words)?.slice(0, batch * words))
        };
        let (index, x, y) =
            (vector("drawn", 1)?, vector("batch", pixels)?, vector("batch of targets", width)?);
        let take = |label: &str, table: &Buffer, words: usize, to: &Slice| {
            let slices = vec![table.slice(0, rows * words), index.clone(), to.clone()];
            Launch::new(label, Arc::new(Take { rows, batch, words }), slices)
        };
        let mut train = vec![
            Launch::new("draw", Arc::new(Draw { batch, capacity: rows }), vec![index.clone()]),
            take("take inputs", inputs, pixels, &x),
            take("take targets", &targets, width, &y),
        ];
        let mut graph = Graph::training(parameters);
        graph.set_winograd(options.winograd);
        let seen = graph.input("x", &[batch, input.image_size, input.image_size, input.channels]);
        let wanted = graph.input("y", &[batch, width]);
        let outputs = model.forward(&mut graph, seen)?;
        let predicted = predictions.of(&mut graph, outputs)?;
        graph.output("predicted", predicted);
        let loss = predictions.loss(&mut graph, outputs, wanted)?;
        graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)])?;
        let memory =
            Memory { networks: &[(&network, Some(&gradients))], inputs: &[("x", x), ("y", y.clone())] };
        let bound = Plan::new(&graph).bind(&device, &memory, &mut workspace)?;
        train.extend(bound.launches);
        train.extend(optimizer.launches(
            words,
            &OptimizerMemory {
                parameters: &network.parameters,
                gradients: &gradients,
                states: &states.iter().collect::<Vec<_>>(),
                clip: &device.buffer("clip factor", 2)?,
                ring: &device.buffer("gradient norm", 4)?,
                ring_rows: 1,
                row_words: 4,
            },
        ));
        Ok(Self {
            train: device.compile(train)?,
            batch: [bound.outputs["predicted"].clone(), y],
            functions: RandomFunctions::new(&device, (model, predictions), (inputs, rows), seed)?,
            predictions: vec![0.0; rows * width],
            target: vec![0.0; rows * width],
            seen: [vec![0.0; batch * width], vec![0.0; batch * width]],
            inputs: inputs.clone(),
            clear,
            device,
            trained,
            options,
            network,
            targets,
        })
    }

    /// Fills X, which on a GPU lies where it was made.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn take_inputs(&self, x: &[u32]) -> Result<()> {
        if !self.device.is_gpu() {
            self.device.write(&self.inputs, 0, x)?;
        }
        self.functions.take_inputs(x)
    }

    /// Bytes of the buffers on its device.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.device.allocated_bytes()
    }

    /// Whether a network has as many numbers as those that it learns with.
    pub(super) fn is_alike(&self, network: &Network) -> bool {
        let sizes = |network: &Network| [network.parameters.words(), network.statistics.words()];
        sizes(network) == sizes(&self.network)
    }

    /// The mean over X and outputs of what a network with these values and statistics predicts.
    ///
    /// # Errors
    /// Outputs that are not finite; those of the device.
    pub(super) fn mean_prediction(&mut self, [values, statistics]: &[Vec<f32>; 2]) -> Result<f64> {
        self.network.write(&self.device, values, statistics)?;
        self.trained.predict(&mut self.predictions)?;
        let prediction = mean(self.predictions.iter().map(|&value| f64::from(value)));
        match prediction.is_finite() {
            true => Ok(prediction),
            false => Err(Error::NoNumber("a probe task on a network whose outputs are not finite".into())),
        }
    }

    /// Trains a network with these first values and statistics towards function k around `offset`. `go_on` is asked every
    /// 50 steps: after a no there is no result.
    ///
    /// # Errors
    /// A loss that is not finite; those of the device.
    pub(super) fn fit(
        &mut self,
        k: usize,
        [values, statistics]: &[Vec<f32>; 2],
        offset: f64,
        optimizer: &dyn Optimizer,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<FunctionResult>> {
        let Options { inputs, steps, learning_rate, seed, .. } = self.options;
        self.functions.values(k as u32, offset, &mut self.target)?;
        self.device.write(&self.targets, 0, bytemuck::cast_slice(&self.target))?;
        self.network.write(&self.device, values, statistics)?;
        self.clear.run(&Clock::default())?;
        let mut curve = Vec::with_capacity(steps.div_ceil(CURVE) as usize);
        for step in 0..steps {
            let mut clock = Clock { seed, step: step as u32, appended: inputs as u32, ..Clock::default() };
            optimizer.set_clock(&mut clock, step + 1, learning_rate);
            self.train.run(&clock)?;
            if step.is_multiple_of(CURVE) {
                if !go_on() {
                    return Ok(None);
                }
                for (slice, into) in self.batch.iter().zip(&mut self.seen) {
                    self.device.read_into(&slice.buffer, slice.offset, bytemuck::cast_slice_mut(into))?;
                }
                curve.push(squared_error(&self.seen[0], &self.seen[1]));
            }
        }
        self.trained.predict(&mut self.predictions)?;
        let loss = squared_error(&self.predictions, &self.target);
        if !loss.is_finite() {
            let message =
                format!("function {k} of a probe task diverged: its loss is {loss} after {steps} steps");
            return Err(Error::NoNumber(message));
        }
        let centre = mean(self.target.iter().map(|&t| f64::from(t)));
        let variance = mean(self.target.iter().map(|&t| (f64::from(t) - centre).powi(2)));
        Ok(Some(FunctionResult { loss, variance, curve }))
    }
}

fn squared_error(predicted: &[f32], wanted: &[f32]) -> f64 {
    mean(predicted.iter().zip(wanted).map(|(&p, &w)| (f64::from(p) - f64::from(w)).powi(2)))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}
