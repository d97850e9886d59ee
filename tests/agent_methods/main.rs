//! What an agent's learner is made of, on transitions that are always the same: its methods do what their formulas say and
//! nothing else ([`methods`]), and whatever it is, it is the same on any number of threads and after a stop ([`learner`]).

mod learner;
mod methods;

use data::{Images, LoadOptions};
use engine::Device;
use engine::checkpoint::{File, StoredValues};
use experiments::agents::{Learner, Method, Options, Target};
use models::{Mlp, MlpConfig, Model};
use std::path::Path;

const ACTIONS: usize = 10;
/// Updates between two target updates.
const PERIOD: u64 = 5;
const AVERAGE: Target = Target::Average { momentum: 0.9 };
const METHODS: [Method; 7] = [
    Method::None,
    Method::LastLayerReset,
    Method::ShrinkPerturb { keep: 0.8, perturb: 0.2 },
    Method::OptimizerReset,
    Method::WeightDecay { strength: 1e-3 },
    Method::Redo { threshold: 0.5 },
    Method::HareTortoise { reset_interval: 3 },
];

fn images() -> Images {
    let load = LoadOptions { train: 30, test: 10, ..LoadOptions::default() };
    data::load("strokes", Path::new(""), &load).unwrap().train
}

fn mlp(config: MlpConfig) -> Mlp {
    let images = images();
    let (image_size, channels, hidden) = (images.height, images.channels, vec![16, 12]);
    Mlp::new(MlpConfig { image_size, channels, hidden, batch_norm: false, ..config })
}

fn plain() -> Mlp {
    mlp(MlpConfig::default())
}

fn options(method: Method) -> Options {
    let target = if matches!(method, Method::HareTortoise { .. }) { AVERAGE } else { Target::Copy };
    let (batch, capacity, learning_starts, target_period) = (8, 50, 8, PERIOD);
    Options { batch, capacity, learning_starts, target_period, target, method, ..Options::default() }
}

/// A learner with 40 transitions.
fn learner_on(device: &Device, model: &dyn Model, options: Options) -> experiments::Result<Learner> {
    let images = images();
    let mut learner = Learner::new(device, model, &images, options, 3)?;
    for i in 0..40 {
        learner.append(&transition(i)).unwrap();
    }
    Ok(learner)
}

/// From image i to image 7 i.
fn transition(i: u32) -> [u32; 5] {
    [i % 30, 7 * i % 30, i % ACTIONS as u32, ((i % 3) as f32).to_bits(), u32::from(i.is_multiple_of(5))]
}

fn learner(model: &dyn Model, options: Options) -> Learner {
    learner_on(&Device::cpu(2).unwrap(), model, options).unwrap()
}

fn update(learner: &mut Learner, updates: u64) {
    for _ in 0..updates {
        learner.update().unwrap();
    }
}

/// Everything that a learner keeps, by name.
fn state(learner: &Learner) -> File {
    let mut file = File::default();
    learner.save(&mut file).unwrap();
    file
}

fn floats<'a>(file: &'a File, name: &str) -> &'a [f32] {
    match &file.tensors.get(name).unwrap_or_else(|| panic!("no {name}")).values {
        StoredValues::F32(values) => values,
        StoredValues::Integers(_) => panic!("{name} holds integers"),
    }
}

/// The tensors behind a prefix with their names.
fn behind<'a>(file: &'a File, prefix: &str) -> Vec<(&'a str, &'a [f32])> {
    let names = file.tensors.keys().filter_map(|name| name.strip_prefix(prefix));
    names.map(|name| (name, floats(file, &format!("{prefix}{name}")))).collect()
}

/// The state after so many updates with a method, and without.
fn with_and_without(method: Method, updates: u64) -> [File; 2] {
    let target = options(method).target;
    [options(method), Options { target, ..options(Method::None) }].map(|options| {
        let mut learner = learner(&plain(), options);
        update(&mut learner, updates);
        state(&learner)
    })
}
