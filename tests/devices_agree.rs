//! The same run on both devices: the same order, noise, dropout and resets, and losses equal but for rounding.

mod common;

use approx::relative_eq;
use common::{Place, wgsl_device};
use serde_json::Value;

/// Metrics on the CPU and through WGSL, line by line.
fn both(words: &str) -> Vec<(Value, Value)> {
    let place = Place::new();
    let lines = |device: &str| -> Vec<Value> {
        let metrics = place.finish(device, &format!("{words} --device {device}")).metrics;
        metrics.lines().map(|line| line.parse().unwrap()).collect()
    };
    let (cpu, wgsl) = (lines("cpu"), lines(wgsl_device()));
    assert_eq!(cpu.len(), wgsl.len());
    cpu.into_iter().zip(wgsl).collect()
}

fn assert_close(line: &(Value, Value), key: &str, tolerance: f64) {
    let (Some(a), Some(b)) = (line.0[key].as_f64(), line.1[key].as_f64()) else {
        panic!("no {key} in {line:?}");
    };
    let close = relative_eq!(a, b, epsilon = tolerance * 1e-6, max_relative = tolerance);
    assert!(close, "{key}: {a} on the CPU, {b} through WGSL, {}", line.0);
}

/// Epochs of one step of 64 examples, half of them with wrong labels.
const ONE_STEP: &str = "--set data.train=64 --set protocol.ratios=[1] --set protocol.noise=[0.5] \
     --set protocol.base_epochs=20 --set optimizer.warmup=0.3";

#[test]
fn losses_of_the_first_20_steps_agree() {
    let momentum = "--set intervention.hare-tortoise.momentum=0.9";
    for method in ["none".to_string(), format!("hare-tortoise {momentum}")] {
        let words = format!("{ONE_STEP} --set intervention.method={method}");
        let lines = both(&format!("{words} --set model.dropout=0.2"));
        let steps: Vec<_> = lines.iter().filter(|line| line.0.get("train_loss").is_some()).collect();
        assert_eq!(steps.len(), 20);
        for line in steps {
            assert_close(line, "train_loss", 1e-4);
            assert_close(line, "gradient_norm", 1e-3);
        }
    }
}

#[test]
fn what_must_agree_matters_to_the_losses() {
    // Were order, noise or dropout another, the test above would see it: each moves a loss by far more than 1e-4.
    let place = Place::new();
    let last = |out: &str, words: &str| -> f64 {
        let metrics = place.finish(out, &format!("{ONE_STEP} {words}")).metrics;
        let lines = metrics.lines().map(|line| line.parse::<Value>().unwrap());
        lines.filter_map(|line| line["train_loss"].as_f64()).next_back().unwrap()
    };
    let plain = last("plain", "");
    for (out, words) in [
        ("dropout", "--set model.dropout=0.2"),
        ("seed", "--seed 2"),
        ("noise", "--set protocol.noise_labels=all-classes"),
    ] {
        assert!((last(out, words) / plain - 1.0).abs() > 1e-3, "{words}");
    }
    let resets = "--set intervention.method=hare-tortoise --set intervention.hare-tortoise.momentum=0.9 \
                  --set intervention.hare-tortoise.reset_interval";
    let (ten, three) = (last("ten", &format!("{resets}=10")), last("three", &format!("{resets}=3")));
    assert!((ten / three - 1.0).abs() > 1e-3, "{ten} {three}");
}

#[test]
fn whole_warm_starts_have_the_same_lines() {
    let method = "--set intervention.method=hare-tortoise+l2 --set model.dropout=0.2 \
                  --set intervention.hare-tortoise.reset_interval=2";
    let lines = both(&format!("{method} --set protocol.base_epochs=2"));
    let mut evaluations = 0;
    for line in &lines {
        let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&line.0), keys(&line.1));
        for key in ["step", "epoch", "phase"] {
            assert_eq!(line.0[key], line.1[key]);
        }
        if line.0.get("test_loss").is_some() {
            evaluations += 1;
            for key in ["test_loss", "hare_test_loss", "tortoise_test_loss"] {
                assert_close(line, key, 1e-3);
            }
        } else {
            assert_close(line, "train_loss", 1e-3);
        }
    }
    // Before each phase, after every third epoch of the run in the first, and after each in the second.
    assert_eq!(evaluations, 6, "{lines:?}");
}
