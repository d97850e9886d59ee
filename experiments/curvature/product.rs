//! Products with the Hessian of a network's loss on a batch.

use crate::training_step::record_forward;
use engine::{
    Buffer, Device, Graph, Launch, Memory, Network, NetworkId, Parameters, Plan, Result, Slice, Tensor,
    Workspace,
};
use models::Model;
use std::ops::Range;

/// Records a loss, and returns a tensor with the gradient of the loss by it.
type Record<'a> = dyn Fn(&mut Graph<'_>) -> Result<(Tensor, Tensor)> + 'a;

/// A direction, the product of the Hessian with it, and statistics that nobody reads.
#[derive(Debug)]
pub struct HessianMemory {
    device: Device,
    /// The direction in the arena of the parameters.
    direction: Network,
    product: Buffer,
    /// Where the batch norms of the network in training mode leave their running statistics: its own stay as they are.
    unused: Buffer,
    words: usize,
    used: Vec<Range<usize>>,
}

impl HessianMemory {
    /// Memory for networks of this table.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(device: &Device, parameters: &Parameters) -> Result<Self> {
        Ok(Self {
            device: device.clone(),
            direction: Network::new(device, "direction", parameters)?,
            product: device.buffer("product with the Hessian", parameters.words())?,
            unused: device.buffer("unused statistics", parameters.statistics_words())?,
            words: parameters.words(),
            used: parameters.trained().iter().map(|segment| segment.range()).collect(),
        })
    }

    /// The launches that multiply the direction with H, the Hessian of the mean cross-entropy of `network` on `x` and `y`, a
    /// batch of `batch` examples: in training mode, so with the statistics of the batch, but without dropout. Convolutions
    /// are computed without Winograd's method, which rounds more.
    ///
    /// # Errors
    /// A batch that the model cannot take; a layer that has no tangent; those of the device.
    pub fn launches(
        &self,
        model: &dyn Model,
        network: &Network,
        batch: usize,
        (x, y): (Slice, Slice),
        workspace: &mut Workspace,
    ) -> Result<Vec<Launch>> {
        let record: &Record<'_> = &|graph| Ok(record_forward(graph, model, batch, 0.0)?.gradient());
        let graph = Graph::training(model.parameters());
        let inputs = [("x", x), ("y", y)];
        self.bind(graph, model.parameters(), network, &inputs, record, workspace)
    }

    /// The launches that multiply the direction with the Hessian of any loss of `network` in evaluation mode: `record`
    /// records it and returns a tensor with the gradient of the loss by it.
    ///
    /// # Errors
    /// Those of `record`; a layer that has no tangent; those of the device.
    pub fn launches_of(
        &self,
        parameters: &Parameters,
        network: &Network,
        inputs: &[(&str, Slice)],
        record: &Record<'_>,
        workspace: &mut Workspace,
    ) -> Result<Vec<Launch>> {
        self.bind(Graph::evaluation(parameters), parameters, network, inputs, record, workspace)
    }

    fn bind<'p>(
        &self,
        mut graph: Graph<'p>,
        parameters: &'p Parameters,
        network: &Network,
        inputs: &[(&str, Slice)],
        record: &Record<'_>,
        workspace: &mut Workspace,
    ) -> Result<Vec<Launch>> {
        graph.set_winograd(false);
        graph.set_dropout(false);
        let direction = graph.network("direction", parameters);
        let loss = record(&mut graph)?;
        graph.hessian_vector(&[loss], NetworkId::FIRST, direction)?;
        let network = Network { statistics: self.unused.clone(), ..network.clone() };
        let networks = [(&network, None), (&self.direction, Some(&self.product))];
        let memory = Memory { networks: &networks, inputs };
        Ok(Plan::new(&graph).bind(&self.device, &memory, workspace)?.launches)
    }

    /// Words of a vector.
    pub fn words(&self) -> usize {
        self.words
    }

    /// The words that are entries; the others pad and are 0.
    pub fn used(&self) -> &[Range<usize>] {
        &self.used
    }

    /// H v, where `run` runs the launches.
    ///
    /// # Errors
    /// Those of the device and of `run`.
    pub fn apply<E: From<engine::Error>>(
        &self,
        v: &[f64],
        run: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<Vec<f64>, E> {
        let narrow: Vec<f32> = v.iter().map(|&value| value as f32).collect();
        self.device.write(&self.direction.parameters, 0, bytemuck::cast_slice(&narrow))?;
        run()?;
        let product = self.device.read_f32(&self.product.slice(0, self.words))?;
        Ok(product.into_iter().map(f64::from).collect())
    }
}
