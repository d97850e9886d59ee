//! Stopping and going on: the same bytes as never stopping.
#![cfg(unix)]

mod common;

use common::{Place, assert_same, run_words, wgsl_device};
use engine::checkpoint::File;
use std::time::Duration;

/// Phase 0: 400 epochs of 3 steps. Phase 1: 171 epochs of 10 steps. Several tenths of a second.
const LONG: &str = "--set protocol.base_epochs=120 --set protocol.evaluate_every=5 --threads 1";

/// Numbers that look random and are the same in each run of the test.
struct Jitter(u64);

impl Jitter {
    fn milliseconds(&mut self, most: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % most)
    }
}

fn resumed(place: &Place, out: &str) -> bool {
    let text = std::fs::read_to_string(place.run_folder(out).join("result.json")).unwrap();
    text.parse::<serde_json::Value>().unwrap()["resumed"] == true
}

/// SIGTERM in phase 0, SIGKILL soon after going on, SIGTERM in phase 1: nothing of it shows in the end.
fn stopped_in_both_phases(words: &str) {
    let place = Place::new();
    let words = format!("{LONG} {words}");
    let whole = place.finish("whole", &words);
    let command = run_words("cut", &format!("{words} --set run.checkpoint_seconds=0.02"));

    let mut run = place.start(&command);
    place.wait_for("cut", &mut run, 0, 300);
    run.signal("TERM");
    run.wait().fails(130, &["resume"]);
    assert_eq!(place.position("cut").unwrap().0, 0, "stopped in the first phase");
    assert!(place.left("cut") != whole, "it was not finished");

    let mut run = place.start(&command);
    std::thread::sleep(Jitter(words.len() as u64).milliseconds(150));
    if run.is_running() {
        run.signal("KILL");
        assert_eq!(run.wait().code, None);
    }

    let mut run = place.start(&command);
    place.wait_for("cut", &mut run, 1, 1_600);
    run.signal("TERM");
    run.wait().fails(130, &["resume"]);
    assert_eq!(place.position("cut").unwrap().0, 1, "stopped in the second phase");

    place.ht(&command).succeeds();
    assert!(resumed(&place, "cut"));
    assert_same(&whole, &place.left("cut"), &words);
}

#[test]
fn hare_and_tortoise_stops_and_goes_on() {
    stopped_in_both_phases("--set intervention.method=hare-tortoise");
}

#[test]
fn hare_and_tortoise_as_released_with_dropout_stops_and_goes_on() {
    stopped_in_both_phases(
        "--set intervention.method=hare-tortoise --set fidelity=code --set model.dropout=0.2 \
         --set intervention.hare-tortoise.reset_unit=steps --set intervention.hare-tortoise.reset_interval=7",
    );
}

#[test]
fn ema_stops_and_goes_on() {
    stopped_in_both_phases("--set intervention.method=ema");
}

#[test]
fn shrink_and_perturb_with_l2_stops_and_goes_on() {
    stopped_in_both_phases("--set intervention.method=shrink-perturb+l2");
}

#[test]
fn methods_in_the_loss_stop_and_go_on() {
    stopped_in_both_phases(
        "--set intervention.method=spectral-decoupling+self-distillation+regen --set model.dropout=0.2",
    );
}

#[test]
fn shrink_and_perturb_with_fresh_weights_stops_and_goes_on() {
    for variant in ["ash-adams-2020", "per-step"] {
        stopped_in_both_phases(&format!(
            "--set intervention.method=shrink-perturb --set intervention.shrink-perturb.variant={variant}"
        ));
    }
}

#[test]
fn head_reset_with_dropout_stops_and_goes_on() {
    stopped_in_both_phases("--set intervention.method=head-reset --set model.dropout=0.3");
}

#[test]
fn every_kind_of_optimizer_stops_and_goes_on() {
    for (kind, moments) in [
        ("adam --set optimizer.eps_root=1e-3", &["exp_avg.", "exp_avg_sq."][..]),
        (
            "sgd --set optimizer.momentum=0.9 --set intervention.method=redo+optimizer-reset",
            &["momentum_buffer."],
        ),
        ("rmsprop", &["square_avg."]),
        (
            "rmsprop --set optimizer.centered=true --set intervention.method=redo",
            &["grad_avg.", "square_avg."],
        ),
    ] {
        let words = format!("--set optimizer.kind={kind}");
        stopped_in_both_phases(&words);
        let place = Place::new();
        let words = format!("--set protocol.base_epochs=5 {words} --threads");
        let (one, two) =
            (place.finish("one", &format!("{words} 1")), place.finish("two", &format!("{words} 2")));
        assert_same(&one, &two, &words);
        let file = File::load(&place.run_folder("one").join("checkpoint.safetensors")).unwrap();
        let mut found: Vec<_> =
            file.tensors.keys().filter_map(|name| name.strip_suffix("head.fc.bias")).collect();
        found.retain(|prefix| !prefix.is_empty());
        found.sort_unstable();
        assert_eq!(found, moments, "{kind}");
    }
}

#[test]
fn sigint_and_sigusr1_save_and_stop() {
    for signal in ["INT", "USR1"] {
        let place = Place::new();
        let whole = place.finish("whole", LONG);
        let mut run = place.start(&run_words("cut", LONG));
        place.wait_for("cut", &mut run, 0, 200);
        run.signal(signal);
        run.wait().fails(130, &["stopped", "resume"]);
        place.finish("cut", LONG);
        assert!(resumed(&place, "cut"), "SIG{signal} left a checkpoint");
        assert_same(&whole, &place.left("cut"), signal);
    }
}

#[test]
fn killed_at_any_time_it_goes_on_from_the_last_checkpoint() {
    let place = Place::new();
    let words = format!("{LONG} --set intervention.method=hare-tortoise --set model.dropout=0.2");
    let whole = place.finish("whole", &words);
    let command = run_words("cut", &format!("{words} --set run.checkpoint_seconds=0.05"));
    let (mut jitter, mut kills) = (Jitter(1), 0);
    for _ in 0..12 {
        let mut run = place.start(&command);
        std::thread::sleep(jitter.milliseconds(150));
        if !run.is_running() {
            break;
        }
        run.signal("KILL");
        kills += i32::from(run.wait().code.is_none());
    }
    assert!(kills >= 2, "the test killed it {kills} times only");
    place.ht(&command).succeeds();
    assert_same(&whole, &place.left("cut"), "killed");
    let files = std::fs::read_dir(place.run_folder("cut")).unwrap().flatten().map(|entry| entry.file_name());
    let mut names: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, [".lock", "checkpoint.safetensors", "config.toml", "metrics.jsonl", "result.json"]);
}

#[test]
fn killed_between_the_last_checkpoint_and_the_result_it_only_writes_the_result() {
    let place = Place::new();
    let whole = place.finish("runs", "");
    std::fs::remove_file(place.run_folder("runs").join("result.json")).unwrap();
    assert_same(&whole, &place.finish("runs", ""), "finished again");
}

#[test]
fn through_wgsl_it_stops_and_goes_on() {
    through_wgsl("--set intervention.method=hare-tortoise --set model.dropout=0.2");
}

#[test]
fn every_kind_of_optimizer_stops_and_goes_on_through_wgsl() {
    for kind in ["adam --set optimizer.eps_root=1e-3", "sgd --set optimizer.momentum=0.9", "rmsprop"] {
        through_wgsl(&format!("--set optimizer.kind={kind} --set intervention.method=redo"));
    }
}

fn through_wgsl(method: &str) {
    let place = Place::new();
    let length = "--set protocol.base_epochs=30 --set protocol.evaluate_every=5";
    let words = format!("{method} {length} --device {}", wgsl_device());
    let whole = place.finish("whole", &words);
    let command = run_words("cut", &words);
    for (phase, step) in [(0, 60), (1, 330)] {
        let mut run = place.start(&command);
        place.wait_for("cut", &mut run, phase, step);
        run.signal("TERM");
        run.wait().fails(130, &["resume"]);
        assert_eq!(place.position("cut").unwrap().0, phase);
    }
    place.ht(&command).succeeds();
    assert_same(&whole, &place.left("cut"), "through WGSL");
}
