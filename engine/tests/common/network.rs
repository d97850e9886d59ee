//! A classifier on a fixed batch, ready to run on a device: the loss, the gradients, the outputs.

use super::Random;
use engine::ops::BatchNormParameters;
use engine::params::{Init, Layout, ParameterId, StatisticId};
use engine::{
    Buffer, Clock, Device, Graph, Launch, Memory, NetworkId, Parameters, Plan, Program, Result, Slice,
    Tensor, Wanted, Workspace,
};
use std::collections::HashMap;

/// From the graph and `x` to logits `[rows, classes]`.
pub type Forward = Box<dyn Fn(&mut Graph<'_>, Tensor) -> Result<Tensor>>;

/// A network, its batch and its first weights, on no device yet.
pub struct Network {
    pub parameters: Parameters,
    pub forward: Forward,
    pub values: Vec<f32>,
    pub statistics: Vec<f32>,
    /// `[rows, width]`.
    pub x: Vec<f32>,
    pub shape: [usize; 2],
    /// One for each row of logits, in `0..classes`.
    pub labels: Vec<u32>,
    pub clock: Clock,
}

/// A network in the memory of a device: forward pass, loss and, if asked for, backward pass.
pub struct Loaded {
    pub device: Device,
    pub program: Program,
    pub values: Buffer,
    pub gradients: Buffer,
    pub statistics: Buffer,
    pub outputs: HashMap<String, Slice>,
    pub launches: Vec<Launch>,
    pub bytes: u64,
    pub unshared_bytes: u64,
    clock: Clock,
    rows: usize,
}

impl Network {
    /// A batch of random images and labels; random weights in about (-1, 1) whatever their role, so that no gradient is
    /// zero because of a one or a zero in the initialisation.
    pub fn new(
        parameters: Parameters,
        shape: [usize; 2],
        classes: usize,
        seed: u32,
        forward: Forward,
    ) -> Self {
        let mut random = Random(seed << 16);
        let mut values = vec![0.0; parameters.words()];
        for segment in parameters.trained() {
            let fan_in: usize = segment.shape[1..].iter().product();
            let scale = (2.0 / fan_in as f32).sqrt().min(0.7);
            for value in &mut values[segment.range()] {
                *value = scale * (2.0 * random.next() - 1.0);
            }
            if segment.init == Init::Constant(1.0) {
                values[segment.range()].iter_mut().for_each(|value| *value += 1.0);
            }
        }
        let statistics = parameters.initial_statistics(seed);
        let x = random.values(shape[0] * shape[1]);
        let labels = (0..shape[0]).map(|_| random.range(0, classes) as u32).collect();
        let clock = Clock { seed: seed + 1, step: 3, ..Clock::default() };
        Self { parameters, forward, values, statistics, x, shape, labels, clock }
    }

    /// Loads it; `backward` appends the gradients.
    pub fn load(&self, device: &Device, backward: bool) -> Result<Loaded> {
        self.load_into(device, backward, &mut Workspace::default())
    }

    /// As [`Network::load`], with the activations in a workspace that other programs may share.
    pub fn load_into(&self, device: &Device, backward: bool, workspace: &mut Workspace) -> Result<Loaded> {
        let words = |values: &[f32]| bytemuck::cast_slice::<f32, u32>(values).to_vec();
        let values = device.buffer_with("parameters", &words(&self.values))?;
        let statistics = device.buffer_with("statistics", &words(&self.statistics))?;
        let gradients = device.buffer("gradients", self.parameters.words())?;
        let inputs = [
            ("x", device.buffer_with("x", &words(&self.x))?.slice(0, self.x.len())),
            ("y", device.buffer_with("y", &self.labels)?.slice(0, self.labels.len())),
        ];
        let mut graph = Graph::training(&self.parameters);
        let x = graph.input("x", &self.shape);
        let y = graph.input("y", &[self.labels.len()]);
        let logits = (self.forward)(&mut graph, x)?;
        let loss = graph.cross_entropy(logits, y)?;
        if backward {
            graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)])?;
        }
        graph.output("logits", logits);
        graph.output("row_loss", loss.row_loss);
        let plan = Plan::new(&graph);
        let arenas = engine::Network { parameters: values.clone(), statistics: statistics.clone() };
        let memory = Memory { networks: &[(&arenas, Some(&gradients))], inputs: &inputs };
        let bound = plan.bind(device, &memory, workspace)?;
        Ok(Loaded {
            device: device.clone(),
            program: device.compile(bound.launches.clone())?,
            bytes: plan.bytes(),
            unshared_bytes: plan.unshared_bytes(),
            outputs: bound.outputs,
            launches: bound.launches,
            clock: self.clock,
            rows: self.labels.len(),
            values,
            gradients,
            statistics,
        })
    }

    /// The gradient arena of the first weights.
    pub fn gradients(&self, device: &Device) -> Result<Vec<f32>> {
        let loaded = self.load(device, true)?;
        loaded.loss()?;
        device.read_f32(&loaded.gradients.slice(0, self.parameters.words()))
    }
}

impl Loaded {
    /// Runs the program and returns the mean loss, summed in f64.
    pub fn loss(&self) -> Result<f64> {
        self.program.run(&self.clock)?;
        let row_loss = self.output("row_loss")?;
        Ok(row_loss.iter().map(|&loss| f64::from(loss)).sum::<f64>() / self.rows as f64)
    }

    pub fn output(&self, name: &str) -> Result<Vec<f32>> {
        self.device.read_f32(&self.outputs[name])
    }
}

/// Registers `backbone.NAME.weight` `[outputs, inputs]`.
pub fn weight(parameters: &mut Parameters, name: &str, [outputs, inputs]: [usize; 2]) -> ParameterId {
    parameters.add(format!("backbone.{name}.weight"), &[outputs, inputs], Init::FanIn(inputs))
}

/// Registers `backbone.NAME.weight`, filters `[outputs, inputs, kernel, kernel]`.
pub fn filters(
    parameters: &mut Parameters,
    name: &str,
    [outputs, inputs, kernel]: [usize; 3],
) -> ParameterId {
    let shape = [outputs, inputs, kernel, kernel];
    let init = Init::FanIn(inputs * kernel * kernel);
    let id = parameters.add(format!("backbone.{name}.weight"), &shape, init);
    parameters.set_layout(id, Layout::Convolution);
    id
}

/// Registers `backbone.NAME.bias` `[outputs]`.
pub fn bias(parameters: &mut Parameters, name: &str, outputs: usize) -> ParameterId {
    parameters.add(format!("backbone.{name}.bias"), &[outputs], Init::Constant(0.0))
}

/// Registers the tensors of a batch-norm layer.
pub fn batch_norm(parameters: &mut Parameters, name: &str, channels: usize) -> BatchNormParameters {
    let mut statistic = |word: &str, first: f32| -> StatisticId {
        parameters.add_statistic(format!("backbone.{name}.{word}"), &[channels], Init::Constant(first))
    };
    let (running_mean, running_var) = (statistic("running_mean", 0.0), statistic("running_var", 1.0));
    let mut trained = |word: &str, first: f32| {
        parameters.add(format!("backbone.{name}.{word}"), &[channels], Init::Constant(first))
    };
    let (weight, bias) = (trained("weight", 1.0), trained("bias", 0.0));
    BatchNormParameters { weight, bias, running_mean, running_var, eps: 1e-5, momentum: 0.1 }
}
