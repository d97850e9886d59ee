//! The indicators of plasticity against their definitions, written once more from named tensors and outputs.

mod common;

use approx::relative_eq;
use common::Place;
use common::begun::{Begun, MODELS};
use engine::Device;
use experiments::indicators::{Indicators, Memorisation, effective_rank, singular_values, srank};
use serde_json::Map;

const KEYS: [&str; 10] = [
    "weight_magnitude",
    "weight_magnitude_code",
    "weight_distance",
    "weight_distance_code",
    "zero_gradient_ratio",
    "zero_gradient_ratio_code",
    "zero_activation_ratio",
    "zero_activation_ratio_units",
    "srank",
    "effective_rank",
];

fn indicators(begun: &mut Begun, trained: bool) -> Map<String, serde_json::Value> {
    let mut indicators = Indicators::new(&begun.trainer, begun.config.seed).unwrap();
    indicators.begin_phase(&mut begun.trainer).unwrap();
    let mut line = Map::new();
    indicators.log(&begun.trainer, &begun.clock, trained, &mut line).unwrap();
    line
}

fn zeros(values: &[f32]) -> f64 {
    values.iter().filter(|v| **v == 0.0).count() as f64 / values.len() as f64
}

fn on_a_model(device: &Device, model: &[&str]) {
    let mut begun = Begun::new(device, model, &[]);
    let parameters = begun.parameters().clone();
    // One feature that no logit reads, and one unit that never fires.
    let (mut arenas, groups) = (begun.arenas(), begun.groups());
    let reads = parameters.trained().iter().find(|s| s.name.starts_with("head.fc")).unwrap();
    let (rows, width) = (reads.shape[0], reads.shape[1]);
    (0..rows).for_each(|row| arenas.trained[reads.offset + row * width + 2] = 0.0);
    begun.silence(&mut arenas, &groups[0], 0);
    begun.write(&arenas);

    let gradients = begun.trainer.device().read_f32(&begun.trainer.gradients().slice(0, parameters.words()));
    let gradients = parameters.export(&gradients.unwrap());
    let line = indicators(&mut begun, true);
    assert_eq!(line.keys().count(), KEYS.len());
    let logged = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{model:?}: {name}"));
    let assert_is = |name: &str, expected: f64| {
        let got = logged(name);
        let close = relative_eq!(got, expected, epsilon = 1e-12, max_relative = 1e-9);
        assert!(close, "{model:?}: {name} {got}, {expected}");
    };

    let weights = parameters.export(&arenas.trained);
    let first = parameters.export(&parameters.initial_values(begun.config.seed));
    let (mut sums, mut distances) = ([0.0; 2], [0.0; 2]);
    for ((_, _, w), (_, _, w0)) in weights.iter().zip(&first) {
        let square: f64 = w.iter().map(|w| f64::from(*w).powi(2)).sum();
        let apart: f64 = w.iter().zip(w0).map(|(w, w0)| (f64::from(*w) - f64::from(*w0)).powi(2)).sum();
        let count = w.len() as f64;
        sums = [sums[0] + square / count, sums[1] + square.sqrt() / count];
        distances = [distances[0] + apart / count, distances[1] + apart.sqrt() / count];
    }
    assert_is("weight_magnitude", sums[0]);
    assert_is("weight_magnitude_code", sums[1]);
    assert_is("weight_distance", distances[0]);
    assert_is("weight_distance_code", distances[1]);
    let all: Vec<f32> = gradients.into_iter().flat_map(|(_, _, values)| values).collect();
    assert_is("zero_gradient_ratio_code", zeros(&all));

    // There are 40 examples, fewer than 512.
    let (outputs, features, _) = begun.outputs(40);
    assert_is("zero_activation_ratio", zeros(&features));
    assert_is("zero_activation_ratio_units", zeros(&outputs.concat()));
    assert!(logged("zero_activation_ratio_units") > 0.0);
    let singular = singular_values(&features, 40, features.len() / 40);
    let total: f64 = singular.iter().sum();
    let rank = (1..=singular.len()).find(|&k| singular[..k].iter().sum::<f64>() >= 0.99 * total).unwrap();
    assert_eq!(srank(&singular, 0.01), rank);
    assert_is("srank", rank as f64);
    assert_is("effective_rank", effective_rank(&singular));
    let ratio = logged("zero_gradient_ratio");
    assert!(ratio >= 1.0 / width as f64 - 1e-9 && ratio < 1.0, "{model:?}: {ratio} of {width} features");
    if model[0] == "model.name=mlp" {
        // The head is linear: the gradient is 0 for the feature that nothing reads, and for no other.
        assert_is("zero_gradient_ratio", 1.0 / width as f64);
    }
}

#[test]
fn indicators_agree_with_their_definitions_in_every_model() {
    for model in MODELS {
        on_a_model(&Device::cpu(2).unwrap(), model);
    }
}

#[test]
fn dead_units_put_out_nothing_for_any_example() {
    let mut begun = Begun::new(&Device::cpu(2).unwrap(), MODELS[0], &[]);
    let (mut arenas, groups) = (begun.arenas(), begun.groups());
    begun.silence(&mut arenas, &groups[0], 0);
    begun.silence(&mut arenas, &groups[1], 3);
    begun.write(&arenas);
    let (outputs, _, _) = begun.outputs(40);
    let dead = |values: &Vec<f32>, units: usize| {
        (0..units).filter(|unit| values.iter().skip(*unit).step_by(units).all(|&value| value == 0.0)).count()
    };
    let expected: usize = outputs.iter().zip(&groups).map(|(values, group)| dead(values, group.count)).sum();
    assert!(expected >= 2);
    let mut memorisation = Memorisation::new(&begun.trainer).unwrap();
    memorisation.begin_phase(&mut begun.trainer).unwrap();
    let mut line = Map::new();
    memorisation.log(&begun.trainer, &begun.clock, &mut line).unwrap();
    assert_eq!(line["dead_unit_share"], expected as f64 / 21.0);
}

#[test]
fn through_wgsl_the_same_holds() {
    let device = Device::open(common::wgsl_device(), 0).unwrap();
    on_a_model(&device, MODELS[0]);
}

#[test]
fn looking_changes_nothing() {
    let place = Place::new();
    let plain = place.finish("plain", "--threads 1");
    let looked = place.finish("looked", "--threads 1 --set protocol.indicators=true");
    let parsed =
        |text: &str| -> Vec<serde_json::Value> { text.lines().map(|l| l.parse().unwrap()).collect() };
    let (plain, looked) = (parsed(&plain.metrics), parsed(&looked.metrics));
    assert_eq!(plain.len(), looked.len());
    for (plain, looked) in plain.iter().zip(&looked) {
        for (key, value) in plain.as_object().unwrap() {
            assert_eq!(value, &looked[key], "{key}");
        }
        let evaluated = plain["test_loss"].is_number();
        for key in KEYS {
            // At the start of a phase there are no gradients of it yet.
            let first = key == "zero_gradient_ratio_code";
            assert!(looked[key].is_number() == evaluated || (first && evaluated), "{key}: {looked}");
        }
    }
}
