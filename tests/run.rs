//! Exactness of `ht run`, and the commands around it, through the binary.

mod common;

use approx::assert_abs_diff_eq;
use common::{Place, assert_same, wgsl_device};
use serde_json::Value;
use std::io::Read;
use std::process::Stdio;

const METHODS: &str = "--set intervention.method=hare-tortoise --set model.dropout=0.2";

/// All that methods add to a step.
const ADDITIONS: &str = "--set intervention.method=spectral-decoupling+self-distillation+regen+shrink-perturb \
                         --set intervention.shrink-perturb.variant=per-step --set model.dropout=0.2";

#[test]
fn methods_in_the_step_give_the_same_bytes_on_any_number_of_threads_and_through_wgsl() {
    let place = Place::new();
    let first = place.finish("a", ADDITIONS);
    for threads in 1..=3 {
        let left = place.finish(&format!("threads{threads}"), &format!("{ADDITIONS} --threads {threads}"));
        assert_same(&first, &left, &format!("{threads} threads"));
    }
    let words = format!("{ADDITIONS} --set protocol.base_epochs=2 --device {}", wgsl_device());
    assert_same(&place.finish("b", &words), &place.finish("c", &words), "through WGSL");
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_number_of_threads() {
    let place = Place::new();
    let first = place.finish("a", METHODS);
    assert_same(&first, &place.finish("b", METHODS), "the same run twice");
    for threads in 1..=3 {
        let out = format!("threads{threads}");
        let left = place.finish(&out, &format!("{METHODS} --threads {threads}"));
        assert_same(&first, &left, &format!("{threads} threads"));
    }
    let other = place.finish("c", &format!("{METHODS} --seed 2"));
    assert!(
        other.metrics != first.metrics && other.checkpoint != first.checkpoint,
        "another seed is another run"
    );
}

#[test]
fn threads_do_not_matter_where_kernels_use_several() {
    // Widths and batches beyond the size below which a kernel runs on the calling thread.
    let place = Place::new();
    let words = "--set model.hidden=[300,200] --set optimizer.batch=256 --set protocol.base_epochs=1";
    let first = place.finish("one", &format!("{words} --threads 1"));
    for threads in 2..=3 {
        let left = place.finish(&format!("threads{threads}"), &format!("{words} --threads {threads}"));
        assert_same(&first, &left, &format!("{threads} threads"));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_through_wgsl() {
    let place = Place::new();
    let words = format!("{METHODS} --set protocol.base_epochs=2 --device {}", wgsl_device());
    let first = place.finish("a", &words);
    assert_same(&first, &place.finish("b", &words), "the same run twice");
    let other = place.finish("c", &format!("{words} --seed 2"));
    assert!(
        other.metrics != first.metrics && other.checkpoint != first.checkpoint,
        "another seed is another run"
    );
}

#[test]
fn a_finished_run_is_skipped_and_nothing_is_rewritten() {
    let place = Place::new();
    place.finish("runs", "");
    let folder = place.run_folder("runs");
    let files = ["config.toml", "metrics.jsonl", "result.json", "checkpoint.safetensors"]
        .map(|name| folder.join(name));
    let times = || files.each_ref().map(|file| std::fs::metadata(file).unwrap().modified().unwrap());
    let before = times();
    let again = place.ht("run tiny.toml --out runs --device cpu").succeeds();
    assert!(again.stdout.starts_with("already finished: runs/tiny/none-seed1-"), "{}", again.stdout);
    assert_eq!(times(), before);
}

#[test]
fn a_run_that_does_not_keep_its_checkpoint_has_none_in_the_end() {
    let place = Place::new();
    place.ht("run tiny.toml --device cpu --set run.keep_checkpoint=false").succeeds();
    let folder = place.run_folder("runs");
    assert!(folder.join("result.json").exists() && !folder.join("checkpoint.safetensors").exists());
}

#[test]
fn a_run_folder_holds_what_it_promises() {
    let place = Place::new();
    let left = place.finish("runs", "--set intervention.method=hare-tortoise");
    let folder = place.run_folder("runs");
    let result: Value = std::fs::read_to_string(folder.join("result.json")).unwrap().parse().unwrap();
    let lines: Vec<Value> = left.metrics.lines().map(|line| line.parse().unwrap()).collect();
    let evaluations: Vec<&Value> = lines.iter().filter(|line| line.get("test_accuracy").is_some()).collect();
    for line in &evaluations {
        assert_eq!(line["test_accuracy"], line["tortoise_test_accuracy"], "the tortoise predicts");
        assert_eq!(line["test_loss"], line["tortoise_test_loss"]);
        assert!(line["hare_test_accuracy"].is_number() && line["hare_test_loss"].is_number());
    }
    assert_eq!(result["test_accuracy"], evaluations.last().unwrap()["test_accuracy"]);
    // Phase 0: 180 images, 3 steps in each of 13 epochs. Phase 1: 600 images, 10 steps in each of 5 epochs.
    assert_eq!((&result["steps"], &result["epochs"]), (&Value::from(39 + 50), &Value::from(18)));
    assert_eq!(lines.iter().filter(|line| line.get("train_loss").is_some()).count(), 18);
    assert!(result["seed"] == 1 && result["method"] == "hare-tortoise" && result["resumed"] == false);
    // The stored config is complete: it is the same run.
    std::fs::copy(folder.join("config.toml"), place.path().join("again.toml")).unwrap();
    let again = place.ht("run again.toml --device cpu").succeeds();
    assert!(again.stdout.starts_with("already finished"), "{}", again.stdout);
}

#[test]
fn presets_are_listed_printed_and_fed_back() {
    let place = Place::new();
    let list = place.ht("presets").succeeds().stdout;
    for name in ["fresh-mnist", "warm-start-mnist", "fresh-strokes", "warm-start-strokes"] {
        assert!(list.lines().any(|line| line.starts_with(name)), "{list}");
        let text = place.ht(&format!("presets {name}")).succeeds().stdout;
        assert!(text.starts_with('#'), "a preset says what it is: {text}");
        let resolved = place.ht(&format!("presets {name} --resolved")).succeeds().stdout;
        place.write("resolved.toml", &resolved);
        let again = place.ht("presets resolved.toml --resolved").succeeds().stdout;
        assert_eq!(again, resolved, "{name}");
    }
    place.ht("presets warm-start").fails(2, &["warm-start", "did you mean"]);
}

#[test]
fn finished_runs_are_reported() {
    let place = Place::new();
    place.finish("runs", "");
    let table = place.ht("report runs -o figures").succeeds().stdout;
    assert!(table.contains("tiny") && table.contains("test acc"), "{table}");
    assert!(std::fs::read_dir(place.path().join("figures")).unwrap().count() > 2);
    place.ht("report nowhere").fails(1, &["nowhere"]);
}

#[test]
fn the_tools_say_what_they_promise() {
    let place = Place::new();
    assert!(place.ht("completions bash").succeeds().stdout.contains("complete -F"));
    let devices = place.ht("devices").succeeds().stdout;
    assert!(devices.contains("cpu: ") && devices.contains("auto takes *"), "{devices}");

    let plain = place.ht("inspect mlp --batch 8 --set model.hidden=[16,12] --device cpu").succeeds().stdout;
    for word in ["linear backbone.fc1", "batch_norm backward backbone.bn2", "adamw", "launches", "peak"] {
        assert!(plain.contains(word), "no '{word}' in {plain}");
    }
    let profile =
        place.ht("inspect mlp --batch 8 --set model.hidden=[16,12] --device cpu --profile").succeeds().stdout;
    assert!(profile.contains("% of ceiling") && profile.contains("GFLOP/s"), "{profile}");
    let wgsl = place.ht("inspect mlp --batch 8 --wgsl matmul --device cpu").succeeds().stdout;
    assert!(wgsl.contains("@compute") && wgsl.contains("fn main("), "{wgsl}");
    let through = format!("inspect mlp --batch 8 --set model.hidden=[16,12] --device {}", wgsl_device());
    let gpu = place.ht(&through).succeeds().stdout;
    assert!(gpu.contains("dispatch") && gpu.contains("grid"), "{gpu}");
    place.ht("inspect mlp --wgsl matmull --device cpu").fails(2, &["'matmull'", "did you mean 'matmul'"]);
    place.ht("inspect mpl --device cpu").fails(2, &["model.name", "mlp"]);

    let bench = "bench mlp --batch 8 --steps 5 --json --set model.hidden=[16,12] --device cpu";
    let bench: Value = place.ht(bench).succeeds().stdout.parse().unwrap();
    for key in ["step_ms", "images_per_s", "gflops", "ceiling_percent", "peak_bytes", "first_step_s"] {
        assert!(bench[key].as_f64().is_some_and(|value| value > 0.0), "{key} in {bench}");
    }
    place.ht("bench mlp").fails(2, &["--batch"]);
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new();
    let help = place.ht("--help").succeeds().stdout;
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names: Vec<_> =
        commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let text = place.ht(&format!("{name} --help")).succeeds().stdout;
        assert!(text.contains("Example") && text.contains(&format!("ht {name}")), "{name}: {text}");
    }
    place.ht("").code.map_or_else(|| panic!("a signal"), |code| assert_eq!(code, 2));
    place.ht("reprot").fails(2, &["reprot", "'report'"]);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let place = Place::new();
    for words in ["presets", "presets warm-start-mnist --resolved", "completions bash", "data list", "--help"]
    {
        // The reader goes before the first byte is written: the harshest `| head -1`.
        let mut child = place.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = child.wait().unwrap();
        assert!(stderr.is_empty() && status.success(), "{words}: {status} {stderr}");
    }
}

#[test]
fn the_demo_starts_and_stops_on_request() {
    let place = Place::new();
    let mut demo = place.start("demo --out demo --seeds 1 --device cpu --threads 1");
    place.wait_for("demo", &mut demo, 0, 0);
    demo.signal("TERM");
    let ended = demo.wait().fails(130, &["resume"]);
    assert!(ended.stdout.is_empty(), "{ended:?}");
}

#[test]
fn what_acts_between_phases_is_seen_from_both_sides() {
    let place = Place::new();
    for (method, seen) in [("none", false), ("shrink-perturb", true), ("head-reset", true)] {
        let metrics = place.finish(method, &format!("--set intervention.method={method}")).metrics;
        let lines = metrics.lines().map(|line| line.parse::<Value>().unwrap());
        let evaluations: Vec<Value> = lines.filter(|line| line.get("test_accuracy").is_some()).collect();
        // Phase 0 has 13 epochs and is evaluated after 3, 6, 9 and 12.
        let first = evaluations.iter().position(|line| line["phase"] == 1).unwrap();
        let (before, after) = (&evaluations[first - 1], &evaluations[first]);
        assert_eq!(before["step"] == after["step"], seen, "{method}: {before} {after}");
        assert_eq!(before["epoch"], if seen { 13 } else { 12 }, "{method}");
        assert_ne!(before["test_loss"], after["test_loss"], "{method}");
    }
}

#[test]
fn the_schedule_is_in_the_metrics() {
    let place = Place::new();
    let words = "--set intervention.method=hare-tortoise+optimizer-reset+head-reset+redo \
                 --set intervention.hare-tortoise.reset_interval=4 --set intervention.optimizer-reset.unit=steps \
                 --set intervention.optimizer-reset.interval=2 --set intervention.optimizer-reset.first_reset=after-interval \
                 --set intervention.redo.interval=13 --set optimizer.lr=0.01";
    let metrics = place.finish("runs", words).metrics;
    let lines = metrics.lines().map(|line| line.parse::<Value>().unwrap());
    let epochs: Vec<Value> = lines.filter(|line| line.get("train_loss").is_some()).collect();
    // Phase 0 has 13 epochs of 3 steps, and 3 steps of warm-up; phase 1 has 5 epochs of 10 steps, and 5.
    let rate = |epoch: usize| epochs[epoch - 1]["learning_rate"].as_f64().unwrap();
    assert_abs_diff_eq!(rate(1), 0.01 * 2.0 / 3.0, epsilon = 1e-15);
    assert_eq!((rate(2), rate(13), rate(14)), (0.01, 0.01, 0.01));
    let resets = |epoch: usize, method: &str| epochs[epoch - 1]["resets"][method].as_u64().unwrap_or(0);
    let of = |method: &str| (1..=18).map(|epoch| resets(epoch, method)).collect::<Vec<_>>();
    assert_eq!(of("hare-tortoise"), [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1]);
    assert_eq!(of("optimizer-reset"), [1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 5, 5, 5, 5, 5]);
    assert_eq!(of("head-reset"), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(of("redo"), [0; 18], "not after the last epoch of a phase");
    let plain = place.finish("plain", "").metrics;
    assert!(plain.contains("\"learning_rate\"") && !plain.contains("\"resets\""), "{plain}");
}
