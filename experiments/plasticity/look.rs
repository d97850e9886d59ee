//! What has been thought to say how plastic a network is, and what the paper correlates with its plasticity (Lyle and
//! others 2023, section 5.1 and figure 3).

use super::predictor::Predictor;
use crate::error::Result;
use crate::indicators::{singular_values, srank};
use engine::{Buffer, Device, Network, NetworkId, Parameters, Workspace};
use models::Model;

/// Share of the singular values that a rank may leave out.
const DELTA: f64 = 0.01;

/// What is seen of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Euclidean norm of all trained values.
    pub weight_norm: f64,
    /// Mean over the weight matrices of their rank, the [`srank`] with delta .01; a convolution is a matrix of a row per
    /// output channel.
    pub weight_rank: f64,
    /// [`srank`] of the features that the last layer reads, an input a row.
    pub feature_rank: f64,
    /// Share of these features that are 0 for all inputs.
    pub dead_units: f64,
}

/// Looks at one network on a table of inputs. All device memory is taken when it is made.
#[derive(Debug)]
pub struct Look {
    device: Device,
    parameters: Parameters,
    network: Network,
    features: Predictor,
    rows: usize,
}

impl Look {
    /// At `network` of this model, on the `rows` rows of `inputs`.
    ///
    /// # Errors
    /// Those of the device.
    ///
    /// # Panics
    /// If the model has no last layer: every model has one.
    pub fn new(
        device: &Device,
        model: &dyn Model,
        network: &Network,
        (inputs, rows): (&Buffer, usize),
    ) -> Result<Self> {
        let features = Predictor::new(
            device,
            (model, &|graph, _| {
                let features = graph.input_of(NetworkId::FIRST, models::HEAD);
                Ok(features.expect("a model has a last layer"))
            }),
            network,
            (inputs, rows),
            &mut Workspace::default(),
        )?;
        Ok(Self {
            device: device.clone(),
            parameters: model.parameters().clone(),
            network: network.clone(),
            features,
            rows,
        })
    }

    /// Looks.
    ///
    /// # Errors
    /// Those of the device.
    pub fn look(&self) -> Result<Seen> {
        let width = self.features.width();
        let mut features = vec![0.0; self.rows * width];
        self.features.predict(&mut features)?;
        let weights = self.device.read_f32(&self.network.parameters.slice(0, self.parameters.words()))?;
        let tensors = self.parameters.export(&weights);
        let squares = tensors.iter().flat_map(|(_, _, values)| values).map(|&w| f64::from(w).powi(2));
        let matrices = tensors.iter().filter(|(_, shape, _)| shape.len() >= 2);
        let ranks: Vec<f64> =
            matrices.map(|(_, shape, values)| rank(values, shape[0], shape[1..].iter().product())).collect();
        let dead = (0..width).filter(|unit| (0..self.rows).all(|row| features[row * width + unit] == 0.0));
        Ok(Seen {
            weight_norm: squares.sum::<f64>().sqrt(),
            weight_rank: ranks.iter().sum::<f64>() / ranks.len().max(1) as f64,
            feature_rank: rank(&features, self.rows, width),
            dead_units: dead.count() as f64 / width as f64,
        })
    }
}

fn rank(matrix: &[f32], rows: usize, columns: usize) -> f64 {
    srank(&singular_values(matrix, rows, columns), DELTA) as f64
}
