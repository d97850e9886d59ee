//! Methods in the loss and in the gradient against PyTorch, tensor by tensor, on the CPU device and on a GPU adapter: three
//! AdamW steps of a small MLP with batch norm, and of a small vision transformer.
//!
//! The expected values and the script that made them are in `tests/fixtures/`.

#[path = "common/fixtures.rs"]
mod fixtures;

use engine::checkpoint::{File, StoredValues};
use engine::optim::{Adam, Optimizer};
use engine::{Clock, Device};
use experiments::Config;
use experiments::config::parse_set;
use experiments::interventions::{Tortoise, additions};
use experiments::training_step::{METRICS, RING_ROWS, StepMemory};
use fixtures::{Tolerances, devices, differences, fixture, floats, strip};

const TOLERANCES: Tolerances = Tolerances { logits: 1e-4, loss: 1e-5, tensors: 1e-4 };
const MLP: [&str; 4] = ["model.image_size=6", "model.channels=1", "model.classes=5", "model.hidden=[10,6]"];

const VIT: [&str; 8] = [
    "model.name=vit-tiny",
    "model.image_size=8",
    "model.patch=4",
    "model.channels=1",
    "model.classes=5",
    "model.dim=4",
    "model.heads=2",
    "model.depth=2",
];

/// Trains as the fixture was trained; the loss is the one that the metrics ring shows.
fn train(device: &Device, expected: &File, model: &[&str], sets: &[&str]) -> File {
    let layers: Vec<_> = model.iter().chain(sets).map(|set| parse_set(set).unwrap()).collect();
    let config = Config::resolve(&layers).unwrap();
    let model = config.model.build().unwrap();
    let (model, parameters) = (model.as_ref(), model.parameters());
    let (weights, words) = (strip(expected, "weight."), parameters.words());
    let StoredValues::Integers(labels) = &expected.tensors["y"].values else { panic!("labels are integers") };
    let labels: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
    let number = |name: &str| f64::from(floats(expected, name)[0]);

    let optimizer = Adam { clip: Some(number("clip")), ..Adam::adamw(number("weight_decay")) };
    let mut memory = StepMemory::new(device, model, optimizer, labels.len(), 0).unwrap();
    let network = memory.network.clone();
    let (values, statistics) = (
        parameters.import("weights", |name| weights.floats(name)).unwrap(),
        parameters.import_statistics("weights", |name| weights.floats(name)).unwrap(),
    );
    network.write(device, &values, &statistics).unwrap();
    device.write(&memory.x, 0, bytemuck::cast_slice(floats(expected, "x"))).unwrap();
    device.write(&memory.y, 0, &labels).unwrap();
    let intervention = &config.intervention;
    let tortoise = intervention
        .momentum()
        .map(|momentum| Tortoise::new(device, parameters, &network, momentum).unwrap());
    let initial = intervention.regen.is_some().then(|| {
        let tensors = strip(expected, "initial.");
        let values = parameters.import("initial weights", |name| tensors.floats(name)).unwrap();
        device.buffer_with("initial weights", bytemuck::cast_slice(&values)).unwrap()
    });
    memory.additions =
        additions(device, model, &memory, intervention, tortoise.as_ref(), initial.as_ref()).unwrap();
    let training = memory.training(device, model, labels.len()).unwrap();
    let ring = memory.ring.clone();
    let evaluation = memory.evaluation(device, model, &network, labels.len(), &ring, RING_ROWS).unwrap();
    let step = device.compile(training.launches).unwrap();

    let (mut file, steps) = (File::default(), floats(expected, "loss").len());
    let logits_shape = [labels.len(), model.input().classes];
    for index in 0..steps as u32 {
        let mut clock = Clock { step: index, slot: index, ..Clock::default() };
        optimizer.set_clock(&mut clock, u64::from(index) + 1, number("lr"));
        step.run(&clock).unwrap();
        if let Some(tortoise) = &tortoise {
            tortoise.follow().unwrap();
        }
        if index == 0 {
            file.insert("logits", &logits_shape, device.read_f32(&training.outputs["logits"]).unwrap());
            let gradients = device.read_f32(&memory.gradients.slice(0, words)).unwrap();
            for (name, shape, gradient) in parameters.export(&gradients) {
                file.insert(format!("grad.{name}"), &shape, gradient);
            }
        }
    }
    let rows = device.read_f32(&ring.slice(0, steps * METRICS)).unwrap();
    file.insert("loss", &[steps], rows.chunks(METRICS).map(|row| row[0]).collect());
    let values = device.read_f32(&network.parameters.slice(0, words)).unwrap();
    let statistics = device.read_f32(&network.statistics.all()).unwrap();
    let tensors = parameters.export(&values).into_iter().chain(parameters.export_statistics(&statistics));
    for (name, shape, tensor) in tensors {
        file.insert(format!("param.{name}"), &shape, tensor);
    }
    device.compile(evaluation.launches).unwrap().run(&Clock::default()).unwrap();
    file.insert("eval_logits", &logits_shape, device.read_f32(&evaluation.outputs["logits"]).unwrap());
    file
}

fn check(name: &str, sets: &[&str]) {
    check_model(name, &MLP, sets);
}

fn check_model(name: &str, model: &[&str], sets: &[&str]) {
    let expected = fixture(&format!("objective_{name}"));
    let mut failures = Vec::new();
    for device in devices() {
        let got = train(&device, &expected, model, sets);
        failures.extend(differences(&device, &expected, &got, TOLERANCES));
    }
    assert!(failures.is_empty(), "{name}:\n{}", failures.join("\n"));
}

const SPECTRAL: [&str; 2] =
    ["intervention.method=spectral-decoupling", "intervention.spectral-decoupling.strength=0.3"];
const DISTILLATION: [&str; 3] = [
    "intervention.method=self-distillation",
    "intervention.self-distillation.strength=5",
    "intervention.self-distillation.momentum=0.7",
];
const REGEN: [&str; 2] = ["intervention.method=regen", "intervention.regen.strength=0.2"];

#[test]
fn spectral_decoupling_in_both_forms() {
    check("spectral_mean", &SPECTRAL);
    check(
        "spectral_half_sum",
        &[&SPECTRAL[..], &["intervention.spectral-decoupling.form=half-sum"]].concat(),
    );
}

#[test]
fn self_distillation_from_an_average_that_follows() {
    check("self_distillation", &DISTILLATION);
}

#[test]
fn regen_in_both_forms() {
    check("regen", &REGEN);
    check("regen_last_tensors", &[&REGEN[..], &["intervention.regen.form=last-tensors"]].concat());
}

#[test]
fn regen_pulls_the_tensor_of_a_transformer_that_the_released_code_creates_last() {
    let sets = [&REGEN[..], &["intervention.regen.form=last-tensors", "model.dropout=0"]].concat();
    check_model("regen_vit", &VIT, &sets);
}

#[test]
fn all_of_them_joined() {
    let method = ["intervention.method=spectral-decoupling+self-distillation+regen"];
    check("joined", &[&SPECTRAL[..], &DISTILLATION, &REGEN, &method].concat());
}
