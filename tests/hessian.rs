//! Products with the Hessian of whole models against PyTorch, the spectrum against a dense eigen-solver, and both in a run.

mod common;
#[path = "common/fixtures.rs"]
mod fixtures;

use common::Place;
use common::begun::{Begun, MODELS};
use engine::checkpoint::{File, StoredValues};
use engine::{Clock, Device, Network, Parameters, Workspace};
use experiments::curvature::{HessianMemory, Spectrum};
use fixtures::{devices, fixture, floats, norm, small_vit, strip, vgg_with_crelu};
use models::{Mlp, MlpConfig, Model, ResNet, ResNetConfig, Vgg, VggConfig};
use nalgebra::DMatrix;
use serde_json::Value;

/// H at the weights of a file and on its batch.
struct Hessian {
    memory: HessianMemory,
    program: engine::Program,
}

impl Hessian {
    fn new(device: &Device, model: &dyn Model, file: &File) -> Self {
        let parameters = model.parameters();
        let weights = strip(file, "weight.");
        let network = Network::new(device, "network", parameters).unwrap();
        let values = parameters.import("fixture", |name| weights.floats(name)).unwrap();
        network.write(device, &values, &parameters.initial_statistics(1)).unwrap();
        let upload = |name: &str, words: &[u32]| {
            let buffer = device.buffer_with(name, words).unwrap();
            buffer.slice(0, words.len())
        };
        let x = upload("x", bytemuck::cast_slice(&channels_last(file)));
        let StoredValues::Integers(labels) = &file.tensors["y"].values else { panic!("labels are integers") };
        let labels: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
        let y = upload("y", &labels);
        let memory = HessianMemory::new(device, parameters).unwrap();
        let launches =
            memory.launches(model, &network, labels.len(), (x, y), &mut Workspace::default()).unwrap();
        Self { memory, program: device.compile(launches).unwrap() }
    }

    fn apply(&self, v: &[f64]) -> Vec<f64> {
        self.memory.apply(v, || self.program.run(&Clock::default())).unwrap()
    }
}

/// The images of a file, `[N, C, H, W]` there.
fn channels_last(file: &File) -> Vec<f32> {
    let (x, shape) = (floats(file, "x"), &file.tensors["x"].shape);
    let (channels, pixels) = (shape[1], shape[2] * shape[3]);
    let at = |i: usize| {
        let (image, pixel, c) = (i / channels / pixels, i / channels % pixels, i % channels);
        x[(image * channels + c) * pixels + pixel]
    };
    (0..x.len()).map(at).collect()
}

/// `cos(0, 1, 2, ...)` over the elements of each tensor in PyTorch's order.
fn direction(parameters: &Parameters) -> Vec<f64> {
    let mut file = File::default();
    for (name, shape, values) in parameters.export(&vec![0.0; parameters.words()]) {
        file.insert(name, &shape, (0..values.len()).map(|i| (i as f64).cos() as f32).collect());
    }
    let arena = parameters.import("direction", |name| file.floats(name)).unwrap();
    arena.into_iter().map(f64::from).collect()
}

/// Compares H v with PyTorch's, tensor by tensor.
fn check(model: &dyn Model, name: &str, allowed: f64) {
    let (file, expected) = (fixture(name), fixture(&format!("hessian_{name}")));
    let parameters = model.parameters();
    let v = direction(parameters);
    let norms = expected.tensors.keys().filter(|name| name.starts_with("norm."));
    let whole = norm(norms.map(|name| f64::from(floats(&expected, name)[0])));
    let mut failures = Vec::new();
    for device in devices() {
        let product = Hessian::new(&device, model, &file).apply(&v);
        let product: Vec<f32> = product.into_iter().map(|value| value as f32).collect();
        let mut worst: f64 = 0.0;
        for (name, _, ours) in parameters.export(&product) {
            let theirs = floats(&expected, &format!("product.{name}"));
            let stride = ours.len().div_ceil(128);
            let sampled: Vec<f64> = ours.iter().step_by(stride).map(|&value| f64::from(value)).collect();
            assert_eq!(sampled.len(), theirs.len(), "{name}");
            // The bias before a batch norm has a product of 0: a hundredth of the whole is the floor.
            let share = (sampled.len() as f64 / ours.len() as f64).sqrt();
            let length = norm(theirs.iter().map(|&value| f64::from(value))).max(1e-2 * whole * share);
            let error = norm(sampled.iter().zip(theirs).map(|(a, &b)| a - f64::from(b))) / length;
            let size = norm(ours.iter().map(|&value| f64::from(value)));
            let size_error = (size - f64::from(floats(&expected, &format!("norm.{name}"))[0])).abs();
            let error = error.max(size_error / size.max(1e-2 * whole));
            worst = worst.max(error);
            if error.is_nan() || error > allowed {
                failures.push(format!("{}: {name} is off by {error:.1e}", device.name()));
            }
        }
        println!("{name} on {}: at most {worst:.1e}", device.name());
    }
    assert!(failures.is_empty(), "{name}, {allowed:.0e} allowed:\n{}", failures.join("\n"));
}

fn mlp(hidden: &[usize], batch_norm: bool) -> Mlp {
    let hidden = hidden.to_vec();
    Mlp::new(MlpConfig { image_size: 6, channels: 1, classes: 5, hidden, batch_norm, ..MlpConfig::default() })
}

#[test]
fn mlps() {
    check(&mlp(&[20, 12], false), "mlp_plain", 1e-5);
    check(&mlp(&[24, 16], true), "mlp_batch_norm", 1e-5);
}

#[test]
fn a_resnet() {
    let size = ResNetConfig { image_size: 16, classes: 5, width: 2, head_hidden: 10, ..Default::default() };
    check(&ResNet::new(size), "resnet", 1e-4);
}

#[test]
fn a_vgg() {
    let size = VggConfig { image_size: 32, classes: 5, width: 1, head_hidden: 10, ..Default::default() };
    check(&Vgg::new(size), "vgg", 1e-4);
}

#[test]
fn a_vgg_whose_head_has_concatenated_rectifiers() {
    check(&vgg_with_crelu(), "crelu", 1e-4);
}

#[test]
fn a_vision_transformer() {
    // An analysis leaves dropout out.
    check(&small_vit(0.1), "vit_batch_3", 1e-5);
}

#[test]
fn lanczos_finds_the_extremes_of_a_dense_eigen_solver() {
    let (model, file) = (mlp(&[20, 12], false), fixture("mlp_plain"));
    let hessian = Hessian::new(&Device::cpu(2).unwrap(), &model, &file);
    let used: Vec<usize> = hessian.memory.used().iter().cloned().flatten().collect();
    let mut dense = DMatrix::zeros(used.len(), used.len());
    for (column, &at) in used.iter().enumerate() {
        let mut unit = vec![0.0; hessian.memory.words()];
        unit[at] = 1.0;
        let product = hessian.apply(&unit);
        used.iter().enumerate().for_each(|(row, &at)| dense[(row, column)] = product[at]);
    }
    let asymmetry = (&dense - dense.transpose()).norm() / dense.norm();
    assert!(asymmetry < 1e-5, "{asymmetry:.1e}");
    let eigenvalues = ((&dense + dense.transpose()) * 0.5).symmetric_eigenvalues();
    let (largest, smallest) = (eigenvalues.max(), eigenvalues.min());

    let words = hessian.memory.words();
    let of = |runs| {
        let apply = |v: &[f64]| Ok::<_, engine::Error>(hessian.apply(v));
        Spectrum::of(words, hessian.memory.used(), runs, 1, apply).unwrap()
    };
    let spectrum = of([1, 40]);
    for (got, expected) in [(spectrum.largest(), largest), (spectrum.smallest(), smallest)] {
        println!("extreme {got}, of the dense matrix {expected}");
        assert!((got - expected).abs() < 0.01 * expected.abs(), "{got}, {expected}");
    }
    assert_eq!(spectrum.dimension, model.parameters().count());
    // A rank is a share of the trace of an indicator function: many start vectors come near it.
    let rank = eigenvalues.iter().filter(|value| value.abs() > 1e-3 * largest).count() as f64;
    let many = of([24, 40]);
    let got = many.rank(1e-3);
    println!("rank {got}, of the dense matrix {rank}");
    assert!((got - rank).abs() < 0.15 * rank, "{got}, {rank}");
    let (got, stable) = (many.stable_rank(), eigenvalues.norm_squared() / largest.powi(2));
    println!("stable rank {got}, of the dense matrix {stable}");
    assert!((got - stable).abs() < 0.15 * stable, "{got}, {stable}");
}

#[test]
fn every_model_shows_its_spectrum_and_stays_as_it_is() {
    for model in MODELS {
        let mut begun = Begun::new(&Device::cpu(2).unwrap(), model, &[]);
        let before = begun.arenas();
        let curvature = begun.trainer.curvature().unwrap();
        let spectrum = curvature.spectrum(&begun.clock, 6).unwrap();
        assert!(spectrum.largest() > 0.0 && spectrum.rank(1e-3) > 0.0, "{model:?}: {spectrum:?}");
        assert_eq!(curvature.spectrum(&begun.clock, 6).unwrap().nodes, spectrum.nodes, "bit for bit");
        assert!(begun.arenas() == before, "{model:?}: looking changed something");
    }
}

#[test]
fn a_run_logs_them_where_it_is_asked_to_and_changes_nothing_else() {
    const KEYS: [&str; 4] = ["hessian_largest", "hessian_smallest", "hessian_rank", "hessian_stable_rank"];
    let place = Place::new();
    let plain = place.finish("plain", "--threads 1");
    let looked = place.finish("looked", "--threads 1 --set protocol.hessian_steps=5");
    let name = |out| place.run_folder(out).file_name().unwrap().to_owned();
    assert_ne!(name("plain"), name("looked"), "the numbers that a run logs are part of what it is");
    let config = |out| std::fs::read_to_string(place.run_folder(out).join("config.toml")).unwrap();
    assert!(!config("plain").contains("hessian") && config("looked").contains("hessian_steps = 5"));
    let parsed = |text: &str| -> Vec<Value> { text.lines().map(|line| line.parse().unwrap()).collect() };
    let (plain, looked) = (parsed(&plain.metrics), parsed(&looked.metrics));
    assert_eq!(plain.len(), looked.len());
    for (plain, looked) in plain.iter().zip(&looked) {
        for (key, value) in plain.as_object().unwrap() {
            assert_eq!(value, &looked[key], "{key}");
        }
        for key in KEYS {
            assert_eq!(looked[key].is_number(), plain["test_loss"].is_number(), "{key}: {looked}");
        }
    }
}
