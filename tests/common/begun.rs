//! A network of any model after a few steps on random images, at the beginning of a phase.

use data::{DataSet, Images};
use engine::units::Units;
use engine::{Clock, Device, Graph, NetworkId, Parameters};
use experiments::Config;
use experiments::config::RunConfig;
use experiments::config::parse_set;
use experiments::interventions;
use experiments::schedule::phases;
use experiments::trainer::Trainer;
use models::ModelConfig;

/// A tiny network of each model; VGG's images are large enough for a flattened image of 2x2 positions.
pub const MODELS: [&[&str]; 5] = [
    &["model.name=mlp", "model.hidden=[12,9]", "model.image_size=6", "model.channels=1", "model.classes=10"],
    &["model.name=resnet18", "model.width=4", "model.head_hidden=10", "model.image_size=8"],
    &["model.name=vgg16", "model.width=4", "model.head_hidden=12", "model.image_size=64", "model.classes=10"],
    &[
        "model.name=resnet18",
        "model.width=4",
        "model.head_hidden=10",
        "model.image_size=8",
        "model.head_activation=crelu",
    ],
    &["model.name=vit-tiny", "model.dim=12", "model.depth=2", "model.image_size=8", "model.classes=10"],
];

/// A trainer in its first phase, and the clock of its next step.
pub struct Begun {
    pub config: Config,
    pub trainer: Trainer,
    pub clock: Clock,
}

/// Both arenas of the hare, and the moments.
#[derive(Clone, PartialEq)]
pub struct Arenas {
    pub trained: Vec<f32>,
    pub statistics: Vec<f32>,
    pub moments: Vec<Vec<f32>>,
}

impl Begun {
    pub fn new(device: &Device, model: &[&str], sets: &[&str]) -> Self {
        let shared = ["data.set=scenes", "optimizer.batch=16", "optimizer.lr=0.01", "optimizer.warmup=0"];
        let sets = shared.iter().chain(model).chain(sets);
        let config = Config::resolve(&sets.map(|set| parse_set(set).unwrap()).collect::<Vec<_>>()).unwrap();
        let data = random_images(&config.model);
        let mut trainer = Trainer::new(device, &config, interventions::optimizer(&config), &data).unwrap();
        let phase = phases(&config, &data.train.labels, 10).unwrap().remove(0);
        trainer.begin_phase(&phase).unwrap();
        let examples = phase.examples.len();
        for step in 0..4 {
            let clock = Clock { seed: config.seed, step, cursor: 16 * (step % 2), ..Clock::default() };
            trainer.step(&clock, u64::from(step) + 1, 0.01, examples).unwrap();
        }
        let clock = Clock { seed: config.seed, step: 40, epoch: 3, ..Clock::default() };
        Self { config, trainer, clock }
    }

    pub fn parameters(&self) -> &Parameters {
        self.trainer.model().parameters()
    }

    /// The groups of units; `values` are those of one example.
    pub fn groups(&self) -> Vec<Units> {
        let model = self.trainer.model();
        let (input, mut graph) = (model.input(), Graph::evaluation(model.parameters()));
        let images = graph.input("x", &[1, input.image_size, input.image_size, input.channels]);
        model.forward(&mut graph, images).unwrap();
        graph.units(NetworkId::FIRST)
    }

    pub fn arenas(&self) -> Arenas {
        let (device, hare) = (self.trainer.device(), self.trainer.hare());
        let (words, statistics) = (self.parameters().words(), self.parameters().statistics_words());
        let read = |buffer: &engine::Buffer, words| device.read_f32(&buffer.slice(0, words)).unwrap();
        Arenas {
            trained: read(&hare.parameters, words),
            statistics: read(&hare.statistics, statistics),
            moments: self.trainer.moments().iter().map(|(_, moments)| read(moments, words)).collect(),
        }
    }

    pub fn write(&self, arenas: &Arenas) {
        self.trainer.hare().write(self.trainer.device(), &arenas.trained, &arenas.statistics).unwrap();
    }

    /// Weights with which a unit puts out nothing: no input, and a shift that its activation makes 0.
    pub fn silence(&self, arenas: &mut Arenas, group: &Units, unit: usize) {
        let axis = &group.incoming;
        for outer in 0..axis.outer {
            let at = axis.offset + (outer * axis.units + unit) * axis.inner;
            arenas.trained[at..at + axis.inner].fill(0.0);
        }
        let shift = group.norm.as_ref().map(|norm| &norm.bias).or(group.bias.as_ref()).unwrap();
        // ReLU is 0 everywhere below; GELU and CReLU at 0 only.
        let crelu = group.layer.starts_with("head") && self.config.to_toml().contains("\"crelu\"");
        let zero_only = crelu || group.layer.ends_with("mlp.fc1");
        arenas.trained[shift.offset + unit] = if zero_only { 0.0 } else { -1e3 };
    }

    /// What every group puts out over the first `examples` examples, batches one after the other; then the features and
    /// the logits.
    pub fn outputs(&mut self, examples: usize) -> (Vec<Vec<f32>>, Vec<f32>, Vec<f32>) {
        let groups = self.groups().len();
        let probe = self.trainer.probe(examples, &[], &|graph, _| {
            for (index, group) in graph.units(NetworkId::FIRST).iter().enumerate() {
                graph.output(&format!("{index}"), group.output);
            }
            let features = graph.input_of(NetworkId::FIRST, models::HEAD).unwrap();
            graph.output("features", features);
            Ok(())
        });
        let probe = probe.unwrap();
        assert_eq!(probe.examples(), examples);
        let (mut of_groups, mut features, mut logits) = (vec![Vec::new(); groups], Vec::new(), Vec::new());
        let device = self.trainer.device();
        let each = |outputs: &std::collections::HashMap<String, engine::Slice>| {
            for (index, values) in of_groups.iter_mut().enumerate() {
                values.extend(device.read_f32(&outputs[&index.to_string()])?);
            }
            features.extend(device.read_f32(&outputs["features"])?);
            logits.extend(device.read_f32(&outputs["logits"])?);
            Ok(())
        };
        probe.run(&self.clock, each).unwrap();
        (of_groups, features, logits)
    }
}

/// 40 images of the size that a model takes.
fn random_images(model: &ModelConfig) -> DataSet {
    let input = model.build().unwrap().input();
    let images = |name: &str, stream: u32| {
        let len = 40 * input.image_size * input.image_size * input.channels;
        let pixels = kernels::case::test_values(len, stream).into_iter().map(|v| (v * 127.0 + 128.0) as u8);
        Images {
            name: name.into(),
            height: input.image_size,
            width: input.image_size,
            channels: input.channels,
            classes: input.classes,
            pixels: std::sync::Arc::new(pixels.collect()),
            labels: (0..40).map(|i| i % 10).collect(),
        }
    };
    let (train, test) = (images("train", 1), images("test", 2));
    let set = DataSet::new(train, test, &vec![0.5; input.channels], &vec![0.25; input.channels]);
    DataSet { origin: data::Origin::BuiltIn, ..set }
}
