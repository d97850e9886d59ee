//! Each intervention against its few-line definition, observed from outside: a run is stopped before a step, and its
//! checkpoint tells hare, tortoise and moments. Every stop is a resume too.

#[path = "../common/mod.rs"]
mod common;
mod loss;
mod phases;
mod shrink_perturb;
mod tortoise;

use data::{DataSet, LoadOptions};
use engine::Device;
use engine::checkpoint::File;
use engine::params::{Init, Segment};
use experiments::Config;
use experiments::config::{Layer, parse_set};
use experiments::lifecycle;
use experiments::lifecycle::{Context, Outcome};
use experiments::protocols::phases::run;
use experiments::provenance::DataIdentity;
use kernels::random::{pcg4d, stream, unit};
use models::Model;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Phase 0: 64 images, 22 epochs of 2 steps. Phase 1: 128 images, 22 epochs of 4 steps.
const SHARED: [&str; 12] = [
    "name=interventions",
    "data.set=strokes",
    "data.train=128",
    "data.test=32",
    "model.hidden=[8,6]",
    "optimizer.batch=32",
    "optimizer.lr=0.02",
    "protocol.ratios=[0.5,0.5]",
    "protocol.noise=[0.5,0]",
    "protocol.base_epochs=11",
    "protocol.evaluate_every=5",
    "seed=3",
];
const PHASE_1: u64 = 44;
const END: u64 = 44 + 88;

/// The momentum of every method that keeps an average.
const MOMENTA: &str =
    "[intervention]\nhare-tortoise.momentum = 0.9\nema.momentum = 0.9\nself-distillation.momentum = 0.9\n";

type Tensors = BTreeMap<String, Vec<f32>>;

struct Experiment {
    config: Config,
    data: DataSet,
    device: Device,
    out: tempfile::TempDir,
}

/// Hare, tortoise and moments at one moment.
struct State {
    hare: Tensors,
    tortoise: Tensors,
    moments: Tensors,
}

impl Experiment {
    fn new(sets: &[&str]) -> Self {
        Self::on(Device::cpu(1).unwrap(), sets)
    }

    fn on(device: Device, sets: &[&str]) -> Self {
        let mut layers = vec![Layer::file("momenta", MOMENTA.parse().unwrap())];
        layers.extend(SHARED.iter().chain(sets).map(|set| parse_set(set).unwrap()));
        let config = Config::resolve(&layers).unwrap();
        let options = LoadOptions { train: 128, test: 32, ..LoadOptions::default() };
        let data = data::load("strokes", Path::new(""), &options).unwrap();
        Self { config, data, device, out: tempfile::tempdir().unwrap() }
    }

    /// Goes on until before step `stop_at`, or to the end.
    fn run(&self, stop_at: Option<u64>) -> Outcome {
        let stop = AtomicBool::new(false);
        let mut context = Context {
            device: &self.device,
            config: &self.config,
            data: &self.data,
            data_identity: &DataIdentity::of(&self.data),
            stop: &stop,
            stop_at,
            progress: &mut |_| {},
            note: &mut |_| {},
        };
        run(&mut context, self.out.path()).unwrap()
    }

    fn file(&self) -> File {
        let path = lifecycle::path_of(&self.config, self.out.path());
        File::load(&path.join("checkpoint.safetensors")).unwrap()
    }

    fn state_now(&self) -> State {
        let (mut hare, mut tortoise, mut moments) = (Tensors::new(), Tensors::new(), Tensors::new());
        let file = self.file();
        for name in file.tensors.keys() {
            let (_, values) = file.floats(name).unwrap();
            match name {
                _ if name.starts_with("exp_avg") => moments.insert(name.clone(), values),
                _ => match name.strip_prefix("tortoise.") {
                    Some(name) => tortoise.insert(name.into(), values),
                    None => hare.insert(name.clone(), values),
                },
            };
        }
        State { hare, tortoise, moments }
    }

    /// What there is before step `step`, after all that the steps before it brought.
    fn before(&self, step: u64) -> State {
        assert_eq!(self.run(Some(step)), Outcome::Interrupted);
        self.state_now()
    }

    fn at_the_end(&self) -> State {
        assert!(matches!(self.run(None), Outcome::Finished(_)));
        self.state_now()
    }

    fn model(&self) -> Box<dyn Model> {
        self.config.model.build().unwrap()
    }

    /// The fresh weights that Shrink & Perturb draws at `step`, by their definition.
    fn fresh(&self, step: u64) -> Tensors {
        let draw = |at: usize, init: Init| match init {
            Init::Constant(value) => value,
            Init::FanIn(fan_in) => {
                let words = pcg4d([at as u32 / 4, step as u32, stream::PERTURB, self.config.seed]);
                (2.0 * unit(words[at % 4]) - 1.0) / (fan_in as f32).sqrt()
            }
            Init::LecunNormal(_) | Init::Normal { .. } => panic!("this MLP has no normal weights"),
        };
        let model = self.model();
        let tensor = |s: &Segment| (s.name.clone(), s.range().map(|at| draw(at, s.init)).collect());
        model.parameters().trained().iter().map(tensor).collect()
    }

    /// The run's first weights; running statistics are not among them.
    fn initial(&self) -> Tensors {
        let model = self.model();
        let values = model.parameters().initial_values(self.config.seed);
        model.parameters().trained().iter().map(|s| (s.name.clone(), values[s.range()].to_vec())).collect()
    }
}

fn is_statistic(name: &str) -> bool {
    name.contains("running_")
}

fn bits(tensors: &Tensors) -> Vec<(&str, Vec<u32>)> {
    tensors
        .iter()
        .map(|(name, values)| (name.as_str(), values.iter().map(|v| v.to_bits()).collect()))
        .collect()
}

/// `keep * a + (1 - keep) * b` in f64 for every value of `a`, against `c`.
fn assert_blend(c: &Tensors, keep: f64, a: &Tensors, b: &Tensors, what: &str) {
    assert!(!c.is_empty());
    for (name, values) in c.iter().filter(|(name, _)| a.contains_key(*name) && b.contains_key(*name)) {
        for (i, &value) in values.iter().enumerate() {
            let expected = keep * f64::from(a[name][i]) + (1.0 - keep) * f64::from(b[name][i]);
            let error = (f64::from(value) - expected).abs();
            assert!(
                error <= 1e-6 * expected.abs().max(1.0),
                "{what}: {name}[{i}] = {value}, {expected} expected"
            );
        }
    }
}

/// `keep * a + scale * b` in f64 for every trained value of `a`, against `c`.
fn assert_sum(c: &Tensors, (keep, a): (f64, &Tensors), (scale, b): (f64, &Tensors)) {
    for (name, b) in b {
        for (i, &value) in c[name].iter().enumerate() {
            let expected = keep * f64::from(a[name][i]) + scale * f64::from(b[i]);
            let error = (f64::from(value) - expected).abs();
            assert!(error <= 1e-6 * expected.abs().max(1.0), "{name}[{i}] = {value}, {expected} expected");
        }
    }
}
