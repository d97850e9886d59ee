//! One training step of a model as launches: forward, loss, backward, metrics, clip, update; and what methods add to it.
//!
//! The trainer puts the gathering of a batch before it; `ht bench`, `ht inspect` and `ht step` run it on a fixed batch.

use crate::optimizer::AnyOptimizer;
use engine::optim::{Optimizer, OptimizerMemory};
use engine::{
    Buffer, Device, Graph, Launch, Memory, Mode, Network, NetworkId, Plan, Result, Slice, Tensor, Wanted,
    Workspace,
};
use kernels::loss::RecordLoss;
use models::Model;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of the metrics ring: the host reads it at least this often, in steps.
pub const RING_ROWS: usize = 256;
/// Words in a row of the metrics ring: mean loss, top-1 hits, top-5 hits, gradient norm.
pub const METRICS: usize = 4;

/// What methods add to a training step; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Coefficient of each squared logit in the loss of an example.
    pub logit_penalty: f64,
    /// Whose predictions the network is drawn to.
    pub teacher: Option<Teacher>,
    /// Launches between the gradient and its norm; what they add to the loss they add to word 0 of the ring's row.
    pub after_gradient: Vec<Launch>,
    /// Launches behind the optimiser's update.
    pub after_update: Vec<Launch>,
}

/// A network that teaches another one: it predicts for the same batch in evaluation mode.
#[derive(Clone, Debug)]
pub struct Teacher {
    /// Its parameters and statistics.
    pub network: Network,
    /// Factor of KL(teacher || student) in the loss of an example.
    pub weight: f64,
}

/// The memory of training steps, shared by programs for several batch sizes.
#[derive(Debug)]
pub struct StepMemory {
    /// The network that is trained.
    pub network: Network,
    /// Gradient arena.
    pub gradients: Buffer,
    /// How the network follows its gradients.
    pub optimizer: AnyOptimizer,
    /// What the optimiser keeps for each parameter, by name.
    pub moments: Vec<(&'static str, Buffer)>,
    /// Gradient norm and clip factor.
    pub clip: Buffer,
    /// Metrics ring, [`RING_ROWS`] rows of [`METRICS`] words.
    pub ring: Buffer,
    /// Input batch, `[N, H, W, C]`.
    pub x: Buffer,
    /// Label batch, `[N]`.
    pub y: Buffer,
    /// Activations.
    pub workspace: Workspace,
    /// Whether convolutions may use Winograd's method; they may, unless this is changed before a step is made.
    pub winograd: bool,
    /// What methods add to the steps that are made from now on.
    pub additions: Additions,
}

/// A step for one batch size.
#[derive(Debug)]
pub struct Step {
    /// The launches in order.
    pub launches: Vec<Launch>,
    /// Memory of `logits`, and of what the metrics are made from.
    pub outputs: HashMap<String, Slice>,
    /// Bytes of activations as planned, and without sharing.
    pub activation_bytes: (u64, u64),
}

impl StepMemory {
    /// Memory for batches of at most `rows` examples, with first weights by seed.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(
        device: &Device,
        model: &dyn Model,
        optimizer: impl Into<AnyOptimizer>,
        rows: usize,
        seed: u32,
    ) -> Result<Self> {
        let optimizer = optimizer.into();
        let (parameters, input) = (model.parameters(), model.input());
        let words = parameters.words();
        let network = Network::new(device, "hare", parameters)?;
        network.write(device, &parameters.initial_values(seed), &parameters.initial_statistics(seed))?;
        let moments = optimizer.states().iter().map(|&name| Ok((name, device.buffer(name, words)?)));
        Ok(Self {
            network,
            gradients: device.buffer("gradients", words)?,
            optimizer,
            moments: moments.collect::<Result<_>>()?,
            clip: device.buffer("clip factor", 2)?,
            ring: device.buffer("metrics ring", RING_ROWS * METRICS)?,
            x: device.buffer("input batch", rows * input.image_size * input.image_size * input.channels)?,
            y: device.buffer("label batch", rows)?,
            workspace: Workspace::default(),
            winograd: true,
            additions: Additions::default(),
        })
    }

    /// The launches of a training step on the first `batch` rows of `x` and `y`.
    ///
    /// # Errors
    /// A batch that the model cannot take; those of the device.
    pub fn training(&mut self, device: &Device, model: &dyn Model, batch: usize) -> Result<Step> {
        let mut graph = Graph::training(model.parameters());
        graph.set_winograd(self.winograd);
        let x = record_images(&mut graph, model, batch);
        let teacher = self.additions.teacher.clone();
        // Before the student, whose activations have to stay until the backward pass.
        let taught = teacher.as_ref().map(|teacher| -> Result<(Tensor, f64)> {
            let network = graph.network("teacher", model.parameters());
            let logits = graph.with(network, Mode::Evaluation, |graph| model.forward(graph, x))?;
            Ok((logits, teacher.weight))
        });
        let loss = record_loss(&mut graph, model, x, self.additions.logit_penalty)?;
        if let Some((logits, weight)) = taught.transpose()? {
            graph.distill(loss, logits, weight)?;
        }
        graph.backward(&[loss.gradient()], &[Wanted::Network(NetworkId::FIRST)])?;
        let (hare, gradients) = (self.network.clone(), self.gradients.clone());
        let mut networks = vec![(&hare, Some(&gradients))];
        networks.extend(teacher.as_ref().map(|teacher| (&teacher.network, None)));
        let mut step = self.bind(device, model, &graph, batch, &networks, &self.ring.clone(), RING_ROWS)?;
        step.launches.extend(self.additions.after_gradient.iter().cloned());
        step.launches.extend(self.optimizer.launches(
            model.parameters().words(),
            &OptimizerMemory {
                parameters: &self.network.parameters,
                gradients: &self.gradients,
                states: &self.moments.iter().map(|(_, arena)| arena).collect::<Vec<_>>(),
                clip: &self.clip,
                ring: &self.ring,
                ring_rows: RING_ROWS,
                row_words: METRICS,
            },
        ));
        step.launches.extend(self.additions.after_update.iter().cloned());
        Ok(step)
    }

    /// The launches of an evaluation of `network`, which may be another than the trained one.
    ///
    /// # Errors
    /// A batch that the model cannot take; those of the device.
    pub fn evaluation(
        &mut self,
        device: &Device,
        model: &dyn Model,
        network: &Network,
        batch: usize,
        ring: &Buffer,
        ring_rows: usize,
    ) -> Result<Step> {
        let mut graph = Graph::evaluation(model.parameters());
        graph.set_winograd(self.winograd);
        record_forward(&mut graph, model, batch, 0.0)?;
        self.bind(device, model, &graph, batch, &[(network, None)], ring, ring_rows)
    }

    fn bind(
        &mut self,
        device: &Device,
        model: &dyn Model,
        graph: &Graph<'_>,
        batch: usize,
        networks: &[(&Network, Option<&Buffer>)],
        ring: &Buffer,
        ring_rows: usize,
    ) -> Result<Step> {
        let (x, y) = self.inputs(model, batch);
        let memory = Memory { networks, inputs: &[("x", x), ("y", y)] };
        let plan = Plan::new(graph);
        let bound = plan.bind(device, &memory, &mut self.workspace)?;
        let (mut launches, outputs) = (bound.launches, bound.outputs);
        launches.push(Launch::new(
            "record metrics",
            Arc::new(RecordLoss { rows: batch, ring_rows, words: METRICS }),
            vec![
                outputs["row_loss"].clone(),
                outputs["row_rank"].clone(),
                ring.slice(0, ring_rows * METRICS),
            ],
        ));
        Ok(Step { launches, outputs, activation_bytes: (plan.bytes(), plan.unshared_bytes()) })
    }

    /// The first `batch` rows of the input buffers.
    pub fn inputs(&self, model: &dyn Model, batch: usize) -> (Slice, Slice) {
        let input = model.input();
        let pixels = input.image_size * input.image_size * input.channels;
        (self.x.slice(0, batch * pixels), self.y.slice(0, batch))
    }
}

fn record_images(graph: &mut Graph<'_>, model: &dyn Model, batch: usize) -> Tensor {
    let input = model.input();
    graph.input("x", &[batch, input.image_size, input.image_size, input.channels])
}

pub(crate) fn record_forward(
    graph: &mut Graph<'_>,
    model: &dyn Model,
    batch: usize,
    logit_penalty: f64,
) -> Result<engine::Loss> {
    let x = record_images(graph, model, batch);
    record_loss(graph, model, x, logit_penalty)
}

fn record_loss(
    graph: &mut Graph<'_>,
    model: &dyn Model,
    x: Tensor,
    logit_penalty: f64,
) -> Result<engine::Loss> {
    let batch = graph.shape(x)[0];
    let y = graph.input("y", &[batch]);
    let logits = model.forward(graph, x)?;
    let loss = graph.penalised_cross_entropy(logits, y, logit_penalty)?;
    graph.output("logits", logits);
    graph.output("row_loss", loss.row_loss);
    graph.output("row_rank", loss.row_rank);
    Ok(loss)
}
