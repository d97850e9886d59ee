//! The config of a run: strict, complete, and stored with its results.
//!
//! A run's config is the defaults (which depend on `fidelity` and on the model's name), overlaid by a preset or file,
//! overlaid by `--set` and `--seed`. The result names every key, and the run's id is made from it.

mod check;
mod error;
mod intervention;
mod layers;
mod protocol;

pub use error::Error;
pub use intervention::{
    FirstReset, Intervention, METHODS, RegenForm, ResetUnit, ShrinkPerturbVariant, SpectralForm,
};
pub(crate) use layers::{flattened, nearest, nested, overlay};
pub use layers::{parse_set, resolve_model};
pub use protocol::{BufferOrder, FinalAccuracy, LastPhase, NoiseLabels, Protocol};

use layers::{check_keys, coerce};
use models::ModelConfig;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use toml::{Table, Value};

/// Where paper and released code disagree, which one is meant. Only defaults depend on it: each is a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fidelity {
    /// The choice that makes sense, question by question (`docs/fidelity.md`).
    Recommended,
    /// The method as the paper describes it.
    Paper,
    /// What the released code does.
    Code,
}

/// A resolved config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the experiment: the folder of its runs.
    pub name: String,
    /// Seed of everything random.
    pub seed: u32,
    /// Paper, code, or recommended.
    pub fidelity: Fidelity,
    /// `[data]`
    pub data: Data,
    /// `[model]`
    pub model: ModelConfig,
    /// `[optimizer]`
    pub optimizer: Optimizer,
    /// `[protocol]`
    pub protocol: Protocol,
    /// `[intervention]`
    pub intervention: Intervention,
    /// `[engine]`
    pub engine: Engine,
    /// `[run]`
    pub run: Run,
}

/// The data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// One of `ht data list`.
    pub set: String,
    /// Training images to use, from the front of the set; 0 means all.
    pub train: usize,
    /// Test images to use; 0 means all.
    pub test: usize,
    /// Side of the squares of pixels that are averaged into one: 1, 2 or 4. `model.image_size` is the smaller size.
    pub downsample: usize,
    /// Crop and flip the training images at random: 4 black pixels on every side, a window of the old size anywhere, and
    /// a mirror image half of the time.
    pub augment: bool,
    /// Black and white by error diffusion, as the released code stores MNIST.
    pub dither: bool,
    /// Mean that is subtracted, per channel, of pixels in [0, 1]; empty means the set's own.
    pub mean: Vec<f64>,
    /// Standard deviation that divides; empty means the set's own.
    pub std: Vec<f64>,
    /// Which of the set's own statistics normalise test images.
    pub test_statistics: TestStatistics,
}

/// Which statistics normalise test images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestStatistics {
    /// Those of the training images.
    Train,
    /// The test set's own, where the released code has some (CIFAR-100).
    Test,
}

/// AdamW and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Examples per step; the last batch of an epoch may be smaller and is kept.
    pub batch: usize,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Share of a phase's steps over which the learning rate rises from 0.
    pub warmup: f64,
    /// Decoupled decay of every parameter.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Largest global gradient norm; 0 means no clipping.
    pub clip: f64,
}

/// How the numbers are computed; changes results by rounding only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Convolutions of 3x3 by Winograd's method where it is faster.
    pub winograd: bool,
}

/// How the run is carried out; changes no result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Seconds between checkpoints.
    pub checkpoint_seconds: f64,
    /// Keep the checkpoint of a finished run.
    pub keep_checkpoint: bool,
    /// Keep the images on the host and send every batch to the device, as is done anyway for a set that does not fit.
    pub stream_images: bool,
}

impl Config {
    /// The defaults of a model under a fidelity (`docs/fidelity.md` explains each difference).
    fn defaults(fidelity: Fidelity, model: &str, set: Option<&str>) -> Option<Self> {
        let code = fidelity == Fidelity::Code;
        let paper = fidelity == Fidelity::Paper;
        // Weight decay as in the released configs, or as in appendix A.2.
        let (paired_set, lr, weight_decay) = match model {
            "resnet18" => ("cifar10", 1e-3, if paper { 1e-5 } else { 1e-3 }),
            "vgg16" => ("tiny-imagenet", 1e-3, if paper { 1e-4 } else { 1e-3 }),
            "vit-tiny" => ("cifar100", 3e-3, 0.05),
            _ => ("mnist", 1e-3, 1e-4),
        };
        let set = set.unwrap_or(paired_set);
        let as_code_stores_mnist = code && set == "mnist";
        let mut model = ModelConfig::default_for(model)?;
        if let (true, ModelConfig::Mlp(mlp)) = (paper, &mut model) {
            mlp.hidden = vec![100, 100];
        }
        Some(Self {
            name: "experiment".into(),
            seed: 1,
            fidelity,
            data: Data {
                set: set.into(),
                train: 0,
                test: 0,
                downsample: 1,
                augment: false,
                dither: as_code_stores_mnist,
                // The released code normalises MNIST with the mean of CIFAR's red channel.
                mean: if as_code_stores_mnist { vec![0.4914] } else { vec![] },
                std: if as_code_stores_mnist { vec![0.3081] } else { vec![] },
                test_statistics: if code { TestStatistics::Test } else { TestStatistics::Train },
            },
            model,
            optimizer: Optimizer {
                batch: 256,
                lr,
                warmup: 0.1,
                weight_decay,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                clip: 0.5,
            },
            protocol: Protocol::defaults(fidelity),
            intervention: Intervention::defaults(fidelity),
            engine: Engine { winograd: true },
            run: Run { checkpoint_seconds: 30.0, keep_checkpoint: true, stream_images: false },
        })
    }

    /// Resolves layers of tables, later ones over earlier ones; each has a name for messages.
    ///
    /// # Errors
    /// An unknown key, a wrong type, a value that cannot be.
    pub fn resolve(layers: &[(String, Table)]) -> Result<Self, Error> {
        let mut merged = Table::new();
        for (_, layer) in layers {
            overlay(&mut merged, layer);
        }
        let fidelity = match merged.get("fidelity") {
            None => Fidelity::Recommended,
            Some(value) => value.clone().try_into().map_err(|_| Error::Value {
                key: "fidelity".into(),
                value: value.to_string(),
                reason: "it must be \"recommended\", \"paper\" or \"code\"".into(),
            })?,
        };
        let text = |section: &str, key: &str| merged.get(section)?.get(key)?.as_str();
        let model = text("model", "name").unwrap_or("mlp");
        let mut defaults =
            Self::defaults(fidelity, model, text("data", "set")).ok_or_else(|| Error::Value {
                key: "model.name".into(),
                value: format!("\"{model}\""),
                reason: format!("the models are {}", ModelConfig::NAMES.join(", ")),
            })?;
        defaults.intervention.shrink_perturb_defaults(text("intervention", "shrink_perturb"));
        let mut table = Table::try_from(&defaults).expect("a config is a table");
        for (origin, layer) in layers {
            check_keys(origin, "", &table, layer)?;
        }
        overlay(&mut table, &merged);
        coerce(&mut table);
        let config: Self = table.clone().try_into().map_err(|error: toml::de::Error| {
            // The parser tells the key in its long text only: "...\nin `section.key`".
            let text = error.to_string();
            let key = text.rsplit_once("in `").and_then(|(_, key)| key.split('`').next()).unwrap_or("a key");
            let value = key
                .split('.')
                .try_fold(&Value::Table(table), |value, word| value.get(word))
                .map(Value::to_string);
            Error::Value {
                key: key.into(),
                value: value.unwrap_or_default(),
                reason: error.message().to_string(),
            }
        })?;
        config.check()?;
        Ok(config)
    }

    /// The config under its dotted keys, every key named.
    pub(crate) fn to_keys(&self) -> BTreeMap<String, Value> {
        flattened(&Table::try_from(self).expect("a config is a table"))
    }

    /// The config as TOML, every key named.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config is a table")
    }

    /// The methods joined in `intervention.method`.
    pub fn methods(&self) -> Vec<&str> {
        self.intervention.method.split('+').map(str::trim).filter(|&method| method != "none").collect()
    }

    /// Whether a method takes part.
    pub fn has(&self, method: &str) -> bool {
        self.methods().contains(&method)
    }

    /// Names the run: method, seed, and a hash of all that can change its result.
    pub fn run_id(&self) -> String {
        let mut table = Table::try_from(self).expect("a config is a table");
        table.remove("run");
        let digest = Sha256::digest(toml::to_string(&table).expect("a table"));
        let mut hash = String::new();
        for byte in &digest[..4] {
            let _ = write!(hash, "{byte:02x}");
        }
        format!("{}-seed{}-{hash}", self.intervention.method.replace(' ', ""), self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use models::ResNetConfig;

    fn resolve(sets: &[&str]) -> Result<Config, Error> {
        Config::resolve(&sets.iter().map(|set| parse_set(set).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn fidelity_changes_defaults_and_only_defaults() {
        let [recommended, paper, code] =
            ["recommended", "paper", "code"].map(|f| resolve(&[&format!("fidelity={f}")]).unwrap());
        let hidden = |config: &Config| match &config.model {
            ModelConfig::Mlp(mlp) => mlp.hidden.clone(),
            model => panic!("{model:?} is no MLP"),
        };
        assert_eq!(hidden(&paper), [100, 100]);
        assert_eq!(paper.protocol.last_phase, LastPhase::Base);
        assert!(code.data.dither && code.intervention.reset_shares_memory && !recommended.data.dither);
        assert_eq!(recommended.protocol.final_accuracy, FinalAccuracy::LastEpoch);
        let regen = |config: &Config| config.intervention.regen_form;
        assert_eq!((regen(&paper), regen(&code)), (RegenForm::Squared, RegenForm::LastTensors));
        let set = resolve(&["fidelity=paper", "model.hidden=[7]"]).unwrap();
        assert_eq!(hidden(&set), [7]);
    }

    #[test]
    fn the_strengths_of_shrink_and_perturb_follow_its_variant_unless_they_are_set() {
        let strengths = |sets: &[&str]| {
            let intervention = resolve(sets).unwrap().intervention;
            (intervention.keep, intervention.perturb)
        };
        assert_eq!(strengths(&[]), (0.2, 0.0));
        let ash_adams = "intervention.shrink_perturb=ash-adams-2020";
        assert_eq!(strengths(&[ash_adams]), (0.4, 0.1));
        assert_eq!(strengths(&["intervention.shrink_perturb=per-step"]), (0.9999, 1e-4));
        assert_eq!(strengths(&[ash_adams, "intervention.keep=0.5"]), (0.5, 0.1));
    }

    #[test]
    fn a_resolved_config_survives_its_file() {
        let config =
            resolve(&["seed=9", "optimizer.lr=1", "protocol.ratios=[0.5, 0.5]", "protocol.noise=[0, 0]"])
                .unwrap();
        let again = Config::resolve(&[("file".into(), config.to_toml().parse().unwrap())]).unwrap();
        assert_eq!(again, config);
        assert_eq!(again.run_id(), config.run_id());
    }

    #[test]
    fn the_run_id_ignores_only_how_the_run_is_carried_out() {
        let id = |sets: &[&str]| resolve(sets).unwrap().run_id();
        assert_eq!(id(&[]), id(&["run.checkpoint_seconds=1"]));
        assert_ne!(id(&[]), id(&["optimizer.lr=0.002"]));
        assert!(id(&["intervention.method=ema+l2", "seed=4"]).starts_with("ema+l2-seed4-"));
    }

    #[test]
    fn mistakes_are_named_with_their_key() {
        for (sets, words) in [
            (vec!["optimizer.learning_rate=1"], vec!["optimizer.learning_rate"]),
            (vec!["optimiser.lr=1"], vec!["'optimiser'", "did you mean 'optimizer'"]),
            (vec!["intervention.momentun=0.9"], vec!["did you mean 'intervention.momentum'"]),
            (vec!["optimizer.lr=fast"], vec!["optimizer.lr", "a text", "a number expected"]),
            (vec!["optimizer.batch=0"], vec!["optimizer.batch", "at least 1"]),
            (vec!["optimizer.batch=-1"], vec!["optimizer.batch", "not negative"]),
            (vec!["optimizer.batch=1.5"], vec!["optimizer.batch", "whole number expected"]),
            (vec!["protocol.ratios=[0.1, 0.9]"], vec!["protocol.noise", "per phase"]),
            (vec!["protocol.ratios=[0.6, 0.9]", "protocol.noise=[0,0]"], vec!["protocol.ratios", "sum"]),
            (vec!["protocol.ratios=[1, 0]", "protocol.noise=[0,0]"], vec!["protocol.ratios", "\"base\""]),
            (
                vec!["protocol.ratios=[0, 1]", "protocol.noise=[0,0]", "protocol.last_phase=base"],
                vec!["protocol.ratios"],
            ),
            (vec!["data.downsample=3"], vec!["data.downsample = 3", "1, 2 or 4"]),
            (vec!["intervention.method=hare-and-tortoise"], vec!["did you mean 'hare-tortoise'"]),
            (vec!["intervention.method=hare-tortoise+ema"], vec!["choose one"]),
            (vec!["intervention.shrink_perturb=often"], vec!["intervention.shrink_perturb", "per-step"]),
            (vec!["intervention.regen_strength=-1"], vec!["intervention.regen_strength", "negative"]),
            (vec!["fidelity=exact"], vec!["fidelity", "recommended"]),
            (vec!["model.name=resnet"], vec!["model.name", "mlp"]),
            (vec!["model.dropout=1"], vec!["model.dropout"]),
            (vec!["model.hidden=[0]"], vec!["model.hidden"]),
            (vec!["model.hidden=[1.5]"], vec!["model.hidden", "whole numbers"]),
            (vec!["name=a/b"], vec!["name", "folder"]),
            (vec!["protocol.noise_labels=some"], vec!["protocol.noise_labels = \"some\"", "other-classes"]),
            (vec!["seed=5000000000"], vec!["seed = 5000000000", "u32"]),
            (vec!["run.checkpoint_seconds=1e300"], vec!["run.checkpoint_seconds", "at most"]),
            (vec!["data.mean=[nan]", "data.std=[1]"], vec!["data.mean", "numbers"]),
            (vec!["model.hidden=[1000000000000]"], vec!["model.hidden", "32-bit"]),
        ] {
            let message = resolve(&sets).expect_err(&format!("{sets:?}")).to_string();
            for word in words {
                assert!(message.contains(word), "{sets:?}: {message}");
            }
        }
        assert!(parse_set("optimizer.lr").is_err());
    }

    #[test]
    fn a_model_alone_resolves_and_refuses_other_sections() {
        let (model, engine) = resolve_model("resnet18", &["model.width=8".into()]).unwrap();
        let width8 = ResNetConfig { width: 8, ..ResNetConfig::default() };
        assert_eq!((model, engine.winograd), (ModelConfig::ResNet18(width8), true));
        assert!(!resolve_model("vgg16", &["engine.winograd=false".into()]).unwrap().1.winograd);
        assert!(resolve_model("mlp", &["optimizer.lr=1".into()]).is_err());
        assert!(resolve_model("lenet", &[]).is_err());
    }
}
