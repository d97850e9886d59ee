//! The random functions that probe tasks ask a network to learn.

use super::predictor::Predictor;
use super::task::Predictions;
use crate::error::Result;
use engine::{Buffer, Device, Graph, Network, Parameters, Workspace};
use kernels::random::pcg4d;
use models::Model;

/// Factor of the networks' predictions in the sine.
const FREQUENCY: f64 = 1e5;

/// Third word of the counters that the functions' seeds are drawn with.
const STREAM: u32 = 0x7072_6f62;

/// `g_k(x) = a + sin(1e5 f(x; w_k))` with first values w_k that follow from a seed and k.
///
/// The sine oscillates so fast that the last bit of `f(x; w_k)` moves a target by 1e-3. The networks w_k are therefore
/// always evaluated by the CPU's kernels, and the sine is computed in f64: a GPU gets the targets that the CPU gets.
/// Processors of another instruction set may round differently, see "Determinism" in `ARCHITECTURE.md`.
#[derive(Debug)]
pub(super) struct RandomFunctions {
    /// A CPU.
    device: Device,
    network: Network,
    parameters: Parameters,
    /// The inputs, where they lie elsewhere too.
    copy: Option<Buffer>,
    predictor: Predictor,
    seed: u32,
}

impl RandomFunctions {
    /// Functions of the `rows` rows in `inputs`, of the shape that the model takes.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn new(
        device: &Device,
        (model, predictions): (&dyn Model, &dyn Predictions),
        (inputs, rows): (&Buffer, usize),
        seed: u32,
    ) -> Result<Self> {
        let (device, copy) = match device.is_gpu() {
            true => {
                let cpu = Device::cpu(0)?;
                let copy = cpu.buffer("inputs of the random functions", inputs.words())?;
                (cpu, Some(copy))
            }
            false => (device.clone(), None),
        };
        let network = Network::new(&device, "random function", model.parameters())?;
        let of = |graph: &mut Graph<'_>, outputs| predictions.of(graph, outputs);
        let (reads, mut workspace) = ((copy.as_ref().unwrap_or(inputs), rows), Workspace::default());
        let predictor = Predictor::new(&device, (model, &of), &network, reads, &mut workspace)?;
        Ok(Self { device, network, parameters: model.parameters().clone(), copy, predictor, seed })
    }

    /// Takes note of new inputs, where they do not lie on the CPU.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn take_inputs(&self, x: &[u32]) -> Result<()> {
        match &self.copy {
            Some(copy) => Ok(self.device.write(copy, 0, x)?),
            None => Ok(()),
        }
    }

    /// Writes the values of function k around `offset` for all inputs.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn values(&self, k: u32, offset: f64, into: &mut [f32]) -> Result<()> {
        let seed = pcg4d([k, 0, STREAM, self.seed])[0];
        self.network.write(
            &self.device,
            &self.parameters.initial_values(seed),
            &self.parameters.initial_statistics(seed),
        )?;
        self.predictor.predict(into)?;
        for value in into {
            *value = (offset + (FREQUENCY * f64::from(*value)).sin()) as f32;
        }
        Ok(())
    }
}
