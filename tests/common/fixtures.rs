//! What PyTorch computed, and how ours is held against it.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.

use engine::Device;
use engine::checkpoint::{File, Stored, StoredValues};
use models::{HeadActivation, Vgg, VggConfig, Vit, VitConfig};
use std::path::Path;

/// Largest `norm(ours - PyTorch's)` relative to the norm of PyTorch's tensor.
#[derive(Clone, Copy)]
pub struct Tolerances {
    pub logits: f64,
    pub loss: f64,
    /// Of gradients, and of parameters and statistics after the last step.
    pub tensors: f64,
}

/// The CPU, and the best real GPU, else the software adapter. A missing adapter fails: a test that skips proves nothing.
pub fn devices() -> [Device; 2] {
    let gpu = Device::open("gpu", 0).or_else(|_| Device::open("llvmpipe", 0)).unwrap_or_else(|error| {
        panic!(
            "a GPU adapter is needed, a software one will do: apt-get install -y libvulkan1 \
             mesa-vulkan-drivers\n{error}"
        )
    });
    [Device::cpu(2).unwrap(), gpu]
}

/// The network of the fixture `crelu`.
pub fn vgg_with_crelu() -> Vgg {
    let head_activation = HeadActivation::Crelu;
    Vgg::new(VggConfig { image_size: 64, classes: 5, channels: 3, width: 1, head_hidden: 6, head_activation })
}

/// The network of the fixtures `vit_batch_3` and `vit_batch_5`, which have no dropout.
pub fn small_vit(dropout: f32) -> Vit {
    Vit::new(VitConfig {
        image_size: 8,
        patch: 4,
        channels: 3,
        classes: 5,
        dim: 32,
        depth: 2,
        heads: 2,
        dropout,
    })
}

pub fn fixture(name: &str) -> File {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    File::load(&folder.join(format!("{name}.safetensors"))).unwrap()
}

/// The tensors called `prefix.NAME`, under NAME.
pub fn strip(file: &File, prefix: &str) -> File {
    let tensors = file.tensors.iter();
    let named =
        tensors.filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_string(), tensor.clone())));
    File { tensors: named.collect(), ..File::default() }
}

pub fn floats<'a>(file: &'a File, name: &str) -> &'a [f32] {
    match file.tensors.get(name) {
        Some(Stored { values: StoredValues::F32(values), .. }) => values,
        _ => panic!("no tensor of floats is called {name}"),
    }
}

pub fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// Compares every tensor that the fixture expects; says which are further off than allowed.
pub fn differences(device: &Device, expected: &File, got: &File, tolerances: Tolerances) -> Vec<String> {
    let gradients = expected.tensors.keys().filter(|name| name.starts_with("grad."));
    let whole = norm(gradients.flat_map(|name| floats(expected, name)).map(|&g| f64::from(g)));
    let results = ["logits", "loss", "eval_logits", "grad.", "param."];
    let compared: Vec<_> = expected
        .tensors
        .keys()
        .filter(|name| results.iter().any(|result| name.starts_with(result)))
        .collect();
    assert_eq!(compared, got.tensors.keys().collect::<Vec<_>>(), "the names of the results");
    let mut failures = Vec::new();
    for name in compared {
        assert_eq!(got.tensors[name].shape, expected.tensors[name].shape, "shape of {name}");
        let (ours, theirs) = (floats(got, name), floats(expected, name));
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
            failures.push(format!("{}: {name} is off by {error:.1e}, {allowed:.0e} allowed", device.name()));
        }
    }
    failures
}
