//! Three AdamW steps of small models against PyTorch, tensor by tensor, on the CPU device and on a GPU adapter, with and
//! without Winograd's method.
//!
//! The expected values and the scripts that made them are in `tests/fixtures/`.

#[path = "common/fixtures.rs"]
mod fixtures;

use engine::Device;
use engine::checkpoint::{File, Stored, StoredValues};
use experiments::cli::step::{Options, step};
use fixtures::{Tolerances, devices, differences, fixture, floats, small_vit, strip, vgg_with_crelu};
use models::{
    Cnn, CnnConfig, Mlp, MlpConfig, Model, ResNet, ResNetConfig, Vgg, VggConfig, VitBlock, VitBlockConfig,
};

const MLP: Tolerances = Tolerances { logits: 1e-4, loss: 1e-5, tensors: 1e-4 };
/// Of networks of convolutions: one ReLU or maximum that falls the other way changes a gradient by more than rounding.
const CONVOLUTIONS: Tolerances = Tolerances { logits: 1e-4, loss: 1e-4, tensors: 1e-3 };
/// Winograd's method rounds more.
const WINOGRAD: Tolerances = Tolerances { logits: 1e-4, loss: 1e-4, tensors: 5e-3 };

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
    let mut failures = Vec::new();
    for device in devices() {
        let (x, y) = (&expected.tensors["x"], &expected.tensors["y"]);
        let got = step(model, &device, Some(&strip(&expected, "weight.")), x, y, &options).unwrap();
        failures.extend(differences(&device, &expected, &got, tolerances));
    }
    assert!(failures.is_empty(), "{name}:\n{}", failures.join("\n"));
}

fn small_mlp() -> MlpConfig {
    let hidden = vec![20, 12];
    MlpConfig { image_size: 6, channels: 1, classes: 5, hidden, batch_norm: false, ..MlpConfig::default() }
}

fn mlp(hidden: &[usize], batch_norm: bool) -> Mlp {
    Mlp::new(MlpConfig { hidden: hidden.to_vec(), batch_norm, ..small_mlp() })
}

#[test]
fn an_mlp_with_batch_norm() {
    check(&mlp(&[24, 16], true), "mlp_batch_norm", MLP, true);
}

#[test]
fn an_mlp_without_batch_norm() {
    check(&mlp(&[20, 12], false), "mlp_plain", MLP, true);
}

#[test]
fn an_mlp_with_layer_norm() {
    check(&Mlp::new(MlpConfig { layer_norm: true, ..small_mlp() }), "mlp_layer_norm", MLP, true);
}

#[test]
fn an_mlp_whose_first_layer_is_spectrally_normalised() {
    let size = MlpConfig { spectral_norm: true, channels: 2, ..small_mlp() };
    check(&Mlp::new(size), "mlp_spectral_norm", MLP, true);
}

#[test]
fn a_network_of_convolutions_without_skip_connections() {
    let (width, hidden) = (4, vec![10, 8]);
    let size = CnnConfig { image_size: 9, channels: 2, classes: 5, width, hidden, ..CnnConfig::default() };
    check_both_methods(&Cnn::new(size.clone()), "cnn");
    check_both_methods(&Cnn::new(CnnConfig { layer_norm: true, ..size }), "cnn_layer_norm");
}

#[test]
fn a_vision_transformer_of_one_block() {
    let model = VitBlock::new(VitBlockConfig {
        image_size: 8,
        channels: 2,
        classes: 5,
        dim: 12,
        heads: 2,
        dropout: 0.0,
        ..VitBlockConfig::default()
    });
    check(&model, "vit_block", CONVOLUTIONS, true);
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
    check_both_methods(&vgg_with_crelu(), "crelu");
}

#[test]
fn a_vision_transformer() {
    let model = small_vit(0.0);
    check(&model, "vit_batch_3", CONVOLUTIONS, true);
    check(&model, "vit_batch_5", CONVOLUTIONS, true);
}

#[test]
fn weights_and_batches_that_do_not_fit_are_named_with_their_shapes() {
    let (model, expected) = (mlp(&[20, 12], false), fixture("mlp_plain"));
    let (weights, device) = (strip(&expected, "weight."), Device::cpu(1).unwrap());
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
    let nan = |tensor: &Stored| {
        let StoredValues::F32(mut values) = tensor.values.clone() else { panic!("floats") };
        values[1] = f32::NAN;
        Stored { shape: tensor.shape.clone(), values: StoredValues::F32(values) }
    };
    let mut not_finite = weights.clone();
    not_finite.tensors.insert("head.fc.bias".into(), nan(&weights.tensors["head.fc.bias"]));
    for (message, words) in [
        (message(&without, x, y), vec!["head.fc.bias"]),
        (message(&not_finite, x, y), vec!["'head.fc.bias' is NaN at [1]", "finite"]),
        (message(&weights, &nan(x), y), vec!["'x' is NaN at [0, 0, 0, 1]"]),
        (message(&with("head.fc.weight", &[5, 13]), x, y), vec!["head.fc.weight", "[5, 13]", "[5, 12]"]),
        (message(&with("head.extra", &[3]), x, y), vec!["head.extra", "[3]"]),
        (message(&as_integers, x, y), vec!["head.fc.bias", "integers", "floats"]),
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
    let (model, expected, device) =
        (mlp(&[24, 16], true), fixture("mlp_batch_norm"), Device::cpu(1).unwrap());
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
