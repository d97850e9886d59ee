//! The network of a run as its checkpoint holds it, and examples to look at it with.

use super::covariance::{Covariance, Input, gradient_covariance};
use super::noise::{drawn, drawn_pixels, noise};
use crate::config::{AnyConfig, Output, RunConfig};
use crate::data_set;
use crate::error::{Error, Result};
use crate::lifecycle::other_data;
use crate::presets;
use crate::provenance::DataIdentity;
use data::DataSet;
use engine::checkpoint::File;
use engine::{Device, Network};
use models::Model;
use serde_json::Value;
use std::path::Path;

/// What the gradients are those of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Objective {
    /// `|f(x) - stop(f(x)) + e|²` with e ~ N(0, 1) for each output: random changes of the predictions
    Noise,
    /// The cross-entropy of the true labels
    Labels,
}

/// A run's network and its training set.
#[derive(Debug)]
pub struct SavedRun {
    /// The resolved config.
    pub config: AnyConfig,
    /// Steps that the network has taken, where the checkpoint says so.
    pub step: Option<u64>,
    device: Device,
    model: Box<dyn Model>,
    network: Network,
    data: DataSet,
}

impl SavedRun {
    /// Opens a run folder; the data sets lie in `data_dir`.
    ///
    /// # Errors
    /// No config or no checkpoint there, or of something else; other data than the run was trained on; those of the device.
    pub fn open(device: &Device, folder: &Path, data_dir: &Path) -> Result<Self> {
        let config = AnyConfig::resolve(&[presets::find(&folder.join("config.toml").to_string_lossy())?])?;
        let (model, prefix) = match &config {
            AnyConfig::Classifier(config) => (config.model.build(), ""),
            AnyConfig::Agent(config) => {
                let refuse = |why: &str| Err(Error::Mismatch(format!("{}: {why}", folder.display())));
                if config.data().is_none() {
                    return refuse("the agent sees no images of a set, which gradients could be those of");
                }
                if config.agent.output != Output::Scalar {
                    return refuse(
                        "the agent's outputs are distributions, whose values have no gradient here",
                    );
                }
                (config.network().build(), "online.")
            }
        };
        let model = model.map_err(Error::Mismatch)?;
        let path = folder.join("checkpoint.safetensors");
        if !path.exists() {
            let message =
                "there is none: the run has not got so far, or does not keep it (run.keep_checkpoint)";
            return Err(Error::Checkpoint { path, message: message.into() });
        }
        let file = File::load(&path)?;
        let state: Value = serde_json::from_str(&file.state).unwrap_or_default();
        let data = data_set::load(config.shared(), data_dir)?;
        data_set::check(config.shared(), &data)?;
        if let Some(digest) = state["data"]["digest"].as_str() {
            let now = DataIdentity::of(&data);
            if digest != now.digest {
                return Err(other_data(folder, "begun", digest, state["data"]["origin"].as_str(), &now));
            }
        }
        let parameters = model.parameters();
        let what = path.display().to_string();
        let network = Network::new(device, "saved", parameters)?;
        network.write(
            device,
            &parameters.import(&what, |name| file.floats(&format!("{prefix}{name}")))?,
            &parameters.import_statistics(&what, |name| file.floats(&format!("{prefix}{name}")))?,
        )?;
        Ok(Self { config, step: state["step"].as_u64(), device: device.clone(), model, network, data })
    }

    /// The gradient covariance of training examples that the seed draws, in evaluation mode, without augmentation and label
    /// noise. Gradients take at most `bytes` of memory.
    ///
    /// # Errors
    /// More examples than there are; the labels of an agent, which has learnt none; those of [`gradient_covariance`].
    pub fn gradient_covariance(
        &self,
        objective: Objective,
        examples: usize,
        seed: u32,
        bytes: u64,
    ) -> Result<Covariance> {
        if let (AnyConfig::Agent(_), Objective::Labels) = (&self.config, objective) {
            let message = "an agent learns values, not labels: --loss noise asks every network the same";
            return Err(Error::Mismatch(message.into()));
        }
        let (images, input) = (&self.data.train, self.model.input());
        let pixels = drawn_pixels(images, (&self.data.mean, &self.data.std), examples, seed)?;
        let targets: Vec<u32> = match objective {
            // The gradient of the loss by f is 2 e, and its length does not matter to a cosine.
            Objective::Noise => (0..examples * input.classes).map(|i| noise(i, seed)).collect(),
            Objective::Labels => (0..examples).map(|i| images.labels[drawn(i, images, seed)]).collect(),
        };
        let outputs = [input.classes];
        let target_shape: &[usize] = if objective == Objective::Noise { &outputs } else { &[] };
        let image_shape = [input.image_size, input.image_size, input.channels];
        let inputs = [
            Input { name: "images", shape: &image_shape, words: &pixels },
            Input { name: "targets", shape: target_shape, words: &targets },
        ];
        gradient_covariance(
            &self.device,
            (self.model.parameters(), &self.network),
            &inputs,
            &|graph, tensors| {
                graph.set_winograd(self.config.winograd());
                let f = self.model.forward(graph, tensors[0])?;
                match objective {
                    Objective::Noise => Ok((f, tensors[1])),
                    Objective::Labels => Ok(graph.cross_entropy(f, tensors[1])?.gradient()),
                }
            },
            bytes,
        )
    }
}
