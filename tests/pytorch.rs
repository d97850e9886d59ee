//! Three AdamW steps of small models against PyTorch, tensor by tensor, on the CPU device and on a GPU adapter, with and
//! without Winograd's method.
//!
//! The expected values and the scripts that made them are in `tests/fixtures/`.

use engine::Device;
use engine::checkpoint::{File, Stored, StoredValues};
use experiments::cli::step::{Options, step};
use models::{HeadActivation, Mlp, MlpConfig, Model, ResNet, ResNetConfig, Vgg, VggConfig, Vit, VitConfig};
use std::path::Path;

/// Largest `norm(ours - PyTorch's)` relative to the norm of PyTorch's tensor.
#[derive(Clone, Copy)]
struct Tolerances {
    logits: f64,
    loss: f64,
    /// Of gradients, and of parameters and statistics after the last step.
    tensors: f64,
}

const MLP: Tolerances = Tolerances { logits: 1e-4, loss: 1e-5, tensors: 1e-4 };
/// Of networks of convolutions: one ReLU or maximum that falls the other way changes a gradient by more than rounding.
const CONVOLUTIONS: Tolerances = Tolerances { logits: 1e-4, loss: 1e-4, tensors: 1e-3 };
/// Winograd's method rounds more.
const WINOGRAD: Tolerances = Tolerances { logits: 1e-4, loss: 1e-4, tensors: 5e-3 };

/// The CPU, and the best real GPU, else the software adapter. A missing adapter fails: a test that skips proves nothing.
fn devices() -> [Device; 2] {
    let gpu = Device::open("gpu", 0).or_else(|_| Device::open("llvmpipe", 0)).unwrap_or_else(|error| {
        panic!(
            "a GPU adapter is needed, a software one will do: apt-get install -y libvulkan1 \
             mesa-vulkan-drivers\n{error}"
        )
    });
    [Device::cpu(2), gpu]
}

fn fixture(name: &str) -> File {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    File::load(&folder.join(format!("{name}.safetensors"))).unwrap()
}

/// The tensors called `prefix.NAME`, under NAME.
fn strip(file: &File, prefix: &str) -> File {
    let tensors = file.tensors.iter();
    let named =
        tensors.filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_string(), tensor.clone())));
    File { tensors: named.collect(), ..File::default() }
}

fn floats<'a>(file: &'a File, name: &str) -> &'a [f32] {
    match file.tensors.get(name) {
        Some(Stored { values: StoredValues::F32(values), .. }) => values,
        _ => panic!("no tensor of floats is called {name}"),
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// Runs the fixture's steps and compares every tensor that the fixture expects.
fn check(model: &dyn Model, name: &str, tolerances: Tolerances, winograd: bool) {
    let expected = fixture(name);
    let number = |name: &str| f64::from(floats(&expected, name)[0]);
    let options = Options {
        steps: floats(&expected, "loss").len() as u32,
        learning_rate: number("lr"),
        weight_decay: number("weight_decay"),
        clip: Some(number("clip")),
        seed: 0,
        winograd,
    };
    let gradients = || expected.tensors.keys().filter(|name| name.starts_with("grad."));
    let whole = norm(gradients().flat_map(|name| floats(&expected, name)).map(|&g| f64::from(g)));
    let mut failures = Vec::new();
    for device in devices() {
        let (x, y) = (&expected.tensors["x"], &expected.tensors["y"]);
        let got = step(model, &device, Some(&strip(&expected, "weight.")), x, y, &options).unwrap();
        let results = ["logits", "loss", "eval_logits", "grad.", "param."];
        let compared: Vec<_> = expected
            .tensors
            .keys()
            .filter(|name| results.iter().any(|result| name.starts_with(result)))
            .collect();
        assert_eq!(compared, got.tensors.keys().collect::<Vec<_>>(), "the names of the results");
        for name in compared {
            assert_eq!(got.tensors[name].shape, expected.tensors[name].shape, "shape of {name}");
            let (ours, theirs) = (floats(&got, name), floats(&expected, name));
            let difference = norm(ours.iter().zip(theirs).map(|(a, b)| f64::from(*a) - f64::from(*b)));
            let mut length = norm(theirs.iter().map(|&value| f64::from(value)));
            if name.starts_with("grad.") {
                // The bias before a batch norm has no gradient but rounding: a hundredth of the whole is the floor.
                length = length.max(1e-2 * whole);
            }
            let error = difference / length;
            let allowed = match name.as_str() {
                "loss" => tolerances.loss,
                "logits" | "eval_logits" => tolerances.logits,
                _ => tolerances.tensors,
            };
            println!("{name:32} {error:.1e}");
            if error.is_nan() || error > allowed {
                failures
                    .push(format!("{}: {name} is off by {error:.1e}, {allowed:.0e} allowed", device.name()));
            }
        }
    }
    assert!(failures.is_empty(), "{name}:\n{}", failures.join("\n"));
}

fn mlp(hidden: &[usize], batch_norm: bool) -> Mlp {
    let hidden = hidden.to_vec();
    Mlp::new(MlpConfig { image_size: 6, channels: 1, classes: 5, hidden, batch_norm, dropout: 0.0 })
}

#[test]
fn an_mlp_with_batch_norm() {
    check(&mlp(&[24, 16], true), "mlp_batch_norm", MLP, true);
}

#[test]
fn an_mlp_without_batch_norm() {
    check(&mlp(&[20, 12], false), "mlp_plain", MLP, true);
}

fn check_both_methods(model: &dyn Model, name: &str) {
    check(model, name, CONVOLUTIONS, false);
    check(model, name, WINOGRAD, true);
}

#[test]
fn a_resnet() {
    let size = ResNetConfig { image_size: 16, classes: 5, width: 2, head_hidden: 10, ..Default::default() };
    check_both_methods(&ResNet::new(size), "resnet");
}

#[test]
fn a_vgg() {
    let size = VggConfig { image_size: 32, classes: 5, width: 1, head_hidden: 10, ..Default::default() };
    check_both_methods(&Vgg::new(size), "vgg");
}

#[test]
fn a_vgg_whose_head_has_concatenated_rectifiers_and_reads_images_of_several_positions() {
    let head_activation = HeadActivation::Crelu;
    let size =
        VggConfig { image_size: 64, classes: 5, channels: 3, width: 1, head_hidden: 6, head_activation };
    check_both_methods(&Vgg::new(size), "crelu");
}

#[test]
fn a_vision_transformer() {
    let model = Vit::new(VitConfig {
        image_size: 8,
        patch: 4,
        channels: 3,
        classes: 5,
        dim: 32,
        depth: 2,
        heads: 2,
        dropout: 0.0,
    });
    check(&model, "vit_batch_3", CONVOLUTIONS, true);
    check(&model, "vit_batch_5", CONVOLUTIONS, true);
}

#[test]
fn weights_and_batches_that_do_not_fit_are_named_with_their_shapes() {
    let (model, expected) = (mlp(&[20, 12], false), fixture("mlp_plain"));
    let (weights, device) = (strip(&expected, "weight."), Device::cpu(1));
    let (x, y) = (&expected.tensors["x"], &expected.tensors["y"]);
    let options =
        Options { steps: 1, learning_rate: 1e-3, weight_decay: 0.0, clip: None, seed: 0, winograd: true };
    let message = |weights: &File, x: &Stored, y: &Stored| {
        format!("{:#}", step(&model, &device, Some(weights), x, y, &options).unwrap_err())
    };
    let with = |name: &str, shape: &[usize]| {
        let mut weights = weights.clone();
        weights.insert(name, shape, vec![0.0; shape.iter().product()]);
        weights
    };
    let mut without = weights.clone();
    without.tensors.remove("head.fc.bias");
    let integers = |shape: &[usize], values: &[i64]| Stored {
        shape: shape.to_vec(),
        values: StoredValues::Integers(values.to_vec()),
    };
    let images = |shape: &[usize]| Stored {
        shape: shape.to_vec(),
        values: StoredValues::F32(vec![0.0; shape.iter().product()]),
    };
    let mut as_integers = weights.clone();
    as_integers.tensors.insert("head.fc.bias".into(), integers(&[5], &[0; 5]));
    for (message, words) in [
        (message(&without, x, y), vec!["head.fc.bias"]),
        (message(&with("head.fc.weight", &[5, 13]), x, y), vec!["head.fc.weight", "[5, 13]", "[5, 12]"]),
        (message(&with("head.extra", &[3]), x, y), vec!["head.extra", "[3]"]),
        (message(&as_integers, x, y), vec!["head.fc.bias", "integers", "f32"]),
        (message(&weights, &images(&[7, 1, 6, 5]), y), vec!["[7, 1, 6, 5]", "[N, 1, 6, 6]"]),
        (message(&weights, &images(&[7, 36]), y), vec!["[7, 36]", "[N, 1, 6, 6]"]),
        (message(&weights, &images(&[0, 1, 6, 6]), y), vec!["[0, 1, 6, 6]", "at least 1"]),
        (message(&weights, &images(&[6, 1, 6, 6]), y), vec!["[6, 1, 6, 6]", "[7]"]),
        (message(&weights, x, &integers(&[7], &[0, 1, 2, 5, 0, 0, 0])), vec!["y[3] is 5", "0 to 4"]),
        (message(&weights, x, &integers(&[7], &[0, -1, 2, 3, 0, 0, 0])), vec!["y[1] is -1"]),
        (message(&weights, x, &images(&[7])), vec!["y holds floats"]),
        (message(&weights, y, y), vec!["x holds integers"]),
    ] {
        for word in words {
            assert!(message.contains(word), "'{word}' is not in: {message}");
        }
    }
}

#[test]
fn without_weights_the_seed_decides_and_num_batches_tracked_is_ignored() {
    let (model, expected, device) = (mlp(&[24, 16], true), fixture("mlp_batch_norm"), Device::cpu(1));
    let (x, y) = (&expected.tensors["x"], &expected.tensors["y"]);
    let run = |weights: Option<&File>, seed| {
        let options =
            Options { steps: 2, learning_rate: 1e-3, weight_decay: 0.0, clip: None, seed, winograd: true };
        step(&model, &device, weights, x, y, &options).unwrap()
    };
    assert_eq!(run(None, 1), run(None, 1));
    assert_ne!(run(None, 1), run(None, 2));
    let mut weights = strip(&expected, "weight.");
    assert!(weights.tensors.keys().any(|name| name.ends_with("num_batches_tracked")), "the fixture has them");
    let with = run(Some(&weights), 1);
    weights.tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
    assert_eq!(run(Some(&weights), 1), with);
}
