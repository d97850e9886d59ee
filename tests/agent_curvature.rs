//! A random walk beside an agent: steps as long as the agent's, curvature against finite differences, exact resume.
#![cfg(unix)]

mod common;

use common::{Place, assert_same};
use engine::{Device, Network};
use experiments::curvature::NoiseLoss;
use models::{Mlp, MlpConfig, Model};
use serde_json::Value;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// 300 updates of gradient descent, looked at before the first and after 150 and 300.
const SHORT: &str = "run quick-walk-mnist --device cpu --threads 1 --set environment.set=strokes --set environment.images=400 \
    --set model.hidden=[12,10] --set agent.steps=363 --set agent.capacity=200 --set agent.log_every=100 \
    --set agent.target_period=100 --set optimizer.lr=0.01 --set curvature.every=150 --set curvature.examples=40 \
    --set curvature.clusters=4 --set curvature.hessian_steps=25";

fn looks(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| line.parse::<Value>().unwrap());
    lines.filter(|line| line.get("curvature").is_some()).collect()
}

#[test]
fn both_begin_alike_and_take_steps_of_equal_length() {
    let place = Place::new();
    // Large batches of the same transitions, so that steps are of about equal length.
    let sets = "--set curvature.every=1 --set agent.steps=1001 --set agent.capacity=1000 \
                --set agent.learning_starts=1000 --set optimizer.batch=1000";
    place.ht(&format!("{SHORT} --out whole {sets}")).succeeds();
    let seen = looks(&place.left("whole").metrics);
    assert_eq!(seen.iter().map(|look| look["updates"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    let curvature = |look: usize| &seen[look]["curvature"];
    assert_eq!(curvature(0)["agent"], curvature(0)["walk"], "the same weights");
    let distance = |look: usize, name: &str| curvature(look)[name]["distance"].as_f64().unwrap();
    assert_eq!(distance(0, "walk"), 0.0);
    // After one step both are as far from the beginning.
    assert!(distance(1, "agent") > 1e-6);
    approx::assert_relative_eq!(distance(1, "agent"), distance(1, "walk"), max_relative = 1e-2);
    assert_ne!(curvature(1)["agent"]["hessian_largest"], curvature(1)["walk"]["hessian_largest"]);
    // Random steps are at right angles to each other, so that two of about equal length lead about sqrt(2) as far as one;
    // those of gradient descent are not.
    let far = distance(2, "walk") / distance(1, "walk");
    assert!(far > 1.0 && far < 1.7, "{far}");
    assert!(far < distance(2, "agent") / distance(1, "agent"));
}

#[test]
fn stopping_and_going_on_shows_nowhere_and_the_report_draws_it() {
    let place = Place::new();
    place.ht(&format!("{SHORT} --out whole")).succeeds();
    let whole = place.left("whole");
    let seen = looks(&whole.metrics);
    assert_eq!(seen.iter().map(|look| look["updates"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 150, 300]);
    for network in ["agent", "walk"] {
        let look = &seen[2]["curvature"][network];
        assert_eq!(look["cells"].as_array().unwrap().len(), 1600);
        assert_eq!(look["clusters"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 40);
        let (from, to) = (look["density"]["from"].as_f64().unwrap(), look["density"]["to"].as_f64().unwrap());
        let values = look["density"]["values"].as_array().unwrap();
        let sum: f64 = values.iter().map(|value| value.as_f64().unwrap()).sum();
        let integral = sum * (to - from) / (values.len() - 1) as f64;
        assert!((0.9..1.02).contains(&integral), "{network}: {integral}");
    }
    let command = format!("{SHORT} --out cut --set run.checkpoint_seconds=0.01");
    let mut stopped = 0;
    for milliseconds in [60, 120, 240] {
        let mut run = place.start(&command);
        std::thread::sleep(Duration::from_millis(milliseconds));
        if run.is_running() {
            run.signal(if stopped % 2 == 0 { "KILL" } else { "TERM" });
            stopped += 1;
        }
        run.wait();
    }
    assert!(stopped > 0, "it was never stopped: a longer run");
    place.ht(&command).succeeds();
    assert_same(&whole, &place.left("cut"), &command);

    place.ht("report whole -o drawn").succeeds();
    let figures: Vec<String> = std::fs::read_dir(place.path().join("drawn/figures"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    for word in ["-spectrum", "-gradients-0", "-gradients-300"] {
        assert!(
            figures.iter().any(|name| name.starts_with("curvature-") && name.contains(word)),
            "{figures:?}"
        );
    }
}

#[test]
fn what_a_walk_cannot_follow_is_refused() {
    let place = Place::new();
    for (set, words) in [
        ("agent.replay_ratio=2", ["agent.replay_ratio = 2", "at most 1"]),
        ("agent.output=two-hot", ["curvature.every", "scalar"]),
        ("curvature.examples=1", ["curvature.examples = 1", "2 to 4096"]),
        ("curvature.clusters=0", ["curvature.clusters = 0", "curvature.examples"]),
        ("curvature.hessian_steps=0", ["curvature.hessian_steps = 0", "1 to 1000"]),
        ("curvature.every=0", ["curvature.every = 0", "at least 1"]),
        ("curvature.evry=1", ["no key 'curvature.evry'", "curvature.every"]),
    ] {
        place.ht(&format!("{SHORT} --out bad --set {set}")).fails(2, &words);
    }
    let out = place.ht(&format!("{SHORT} --out bad --set model.batch_norm=true"));
    let code = out.code.unwrap();
    out.fails(code, &["running statistics", "model.batch_norm"]);
    assert!(!place.path().join("bad").exists());
}

#[test]
fn the_hessian_is_that_of_the_loss_towards_noise() {
    // A network without a hidden layer is linear: H = 2/(N D) sum of x x^T for each of D outputs, whatever the noise.
    let (device, config) = (
        Device::cpu(1).unwrap(),
        MlpConfig { classes: 3, image_size: 2, hidden: vec![], batch_norm: false, ..MlpConfig::default() },
    );
    let model = Mlp::new(config);
    let images = data::Images {
        name: "four".into(),
        height: 2,
        width: 2,
        channels: 1,
        classes: 3,
        pixels: std::sync::Arc::new((0..16).map(|i| (i * 16) as u8).collect()),
        labels: vec![0, 1, 2, 0],
    };
    let parameters = model.parameters();
    let network = Network::new(&device, "test", parameters).unwrap();
    network.write(&device, &parameters.initial_values(1), &[]).unwrap();
    let loss = NoiseLoss::new(&device, &model, &images, 4, 5).unwrap();
    let spectrum = loss.spectrum(&model, &network, 15, &AtomicBool::new(false)).unwrap().unwrap();
    let x: Vec<[f64; 5]> = (0..4)
        .map(|i| {
            let at = |j: usize| f64::from(images.pixels[4 * i + j]) / 255.0;
            [at(0), at(1), at(2), at(3), 1.0]
        })
        .collect();
    // The largest eigenvalue of 2/12 sum x x^T, by the power method.
    let (mut v, mut largest) = ([1.0; 5], 0.0);
    for _ in 0..500 {
        let mut next = [0.0; 5];
        for row in &x {
            let dot: f64 = row.iter().zip(&v).map(|(a, b)| a * b).sum();
            (0..5).for_each(|j| next[j] += 2.0 / 12.0 * dot * row[j]);
        }
        largest = next.iter().map(|value| value * value).sum::<f64>().sqrt();
        v = next.map(|value| value / largest);
    }
    approx::assert_relative_eq!(spectrum.largest(), largest, max_relative = 1e-4);
    assert!(spectrum.smallest().abs() < 1e-4 * largest);
    // The gradient of an example by the weights of output o is 2 e_o x: cosines are those of e times those of x.
    let covariance = loss.covariance(&model, &network, 1 << 20).unwrap();
    let dot = |a: &[f64; 5], b: &[f64; 5]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for (at, cosine) in covariance.cosines.iter().enumerate() {
        let (a, b) = (&x[at / 4], &x[at % 4]);
        let most = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        assert!(cosine.abs() <= most + 1e-5, "{at}: {cosine}, at most {most}");
        assert!(at / 4 != at % 4 || (cosine - 1.0).abs() < 1e-6, "{at}: {cosine}");
    }
}

#[test]
fn a_saved_agent_is_looked_at_as_a_classifier_is() {
    let place = Place::new();
    let agent = "run mdp-strokes --device cpu --threads 1 --set environment.images=400 --set agent.steps=200 \
                 --set agent.learning_starts=100 --set model.hidden=[16]";
    place.ht(&format!("{agent} --out scalar")).succeeds();
    let folder = place.run_folder("scalar");
    let look = format!("curvature {} --device cpu --examples 40", folder.display());
    let said = place.ht(&format!("{look} -o seen")).succeeds().stdout;
    assert!(said.starts_with("gradients of 40 examples: mean cosine "), "{said}");
    let picture = std::fs::read_to_string(place.path().join("seen/gradient-covariance.svg")).unwrap();
    assert!(picture.contains("mdp-strokes, none, seed 1, step 200"), "{picture:.300}");
    place.ht(&format!("{look} --loss labels")).fails(2, &["an agent learns values", "--loss noise"]);

    place.ht(&format!("{agent} --out bins --set agent.output=two-hot")).succeeds();
    let folder = place.run_folder("bins");
    place.ht(&format!("curvature {} --device cpu", folder.display())).fails(2, &["distributions"]);
    place.ht("run chain --device cpu --threads 1 --set agent.steps=300 --out chain").succeeds();
    let folder = place.run_folder("chain");
    place.ht(&format!("curvature {} --device cpu", folder.display())).fails(2, &["no images of a set"]);
}
