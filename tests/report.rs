//! Reports on small run folders: the figures by hand, and what happens with unfinished, broken and repeated
//! runs.

use experiments::report::{Error, Report, report};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A run folder to be written.
struct RunFolder {
    experiment: &'static str,
    id: &'static str,
    seed: u64,
    intervention: &'static str,
    metrics: String,
    result: Option<&'static str>,
}

impl RunFolder {
    fn new(experiment: &'static str, id: &'static str, seed: u64) -> RunFolder {
        let intervention = "method = \"none\"";
        let metrics = metrics(&[(0, 0, 0, 0.1), (10, 1, 0, 0.9)]);
        RunFolder { experiment, id, seed, intervention, metrics, result: None }
    }

    fn write(&self, root: &Path) -> PathBuf {
        let folder = root.join(self.experiment).join(self.id);
        std::fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "name = \"{}\"\nseed = {}\nfidelity = \"paper\"\n[data]\nname = \"mnist\"\n\
             [model]\nname = \"mlp\"\nhidden = [512, 256]\n[optimizer]\nlearning_rate = 0.001\n\
             [intervention]\n{}\n",
            self.experiment, self.seed, self.intervention
        );
        std::fs::write(folder.join("config.toml"), config).unwrap();
        std::fs::write(folder.join("metrics.jsonl"), &self.metrics).unwrap();
        if let Some(result) = self.result {
            std::fs::write(folder.join("result.json"), result).unwrap();
        }
        folder
    }
}

/// A training line and an evaluation line for each (step, epoch, phase, test accuracy).
fn metrics(evaluations: &[(u64, u64, u64, f64)]) -> String {
    let lines = evaluations.iter().map(|(step, epoch, phase, accuracy)| {
        let at = format!("\"step\":{step},\"epoch\":{epoch},\"phase\":{phase}");
        format!(
            "{{{at},\"train_loss\":0.5,\"train_accuracy\":0.8,\"gradient_norm\":null}}\n\
             {{{at},\"test_loss\":0.4,\"test_accuracy\":{accuracy},\"test_accuracy_top5\":0.99}}\n"
        )
    });
    lines.collect()
}

const A: &str =
    r#"{"test_accuracy":0.96,"test_loss":0.1,"train_accuracy":0.99,"seconds":10.0,"device":"cpu"}"#;
const B: &str =
    r#"{"test_accuracy":0.97,"test_loss":0.2,"train_accuracy":0.99,"seconds":12.0,"device":"cpu"}"#;
const C: &str =
    r#"{"test_accuracy":0.98,"test_loss":0.6,"train_accuracy":0.99,"seconds":17.0,"device":"gpu"}"#;

fn three_seeds(root: &Path) {
    for (id, seed, result) in [("r1", 1, A), ("r2", 2, B), ("r3", 3, C)] {
        RunFolder { result: Some(result), ..RunFolder::new("fresh", id, seed) }.write(root);
    }
}

fn make(root: &TempDir) -> Report {
    report(&[root.path().join("runs")], Some(&root.path().join("out"))).unwrap()
}

fn output(root: &TempDir, name: &str) -> String {
    std::fs::read_to_string(root.path().join("out").join(name)).unwrap()
}

/// The fields of a CSV file by line and heading, read as RFC 4180 says.
fn parse_csv(text: &str) -> Vec<HashMap<String, String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(character),
        }
    }
    assert!(field.is_empty() && row.is_empty(), "the last line has no newline");
    let header = rows.remove(0);
    let name = |row: Vec<String>| {
        assert_eq!(row.len(), header.len(), "{row:?}");
        header.iter().cloned().zip(row).collect()
    };
    rows.into_iter().map(name).collect()
}

#[track_caller]
fn close(text: &str, expected: f64) {
    let value: f64 = text.parse().unwrap();
    assert!((value - expected).abs() < 1e-9, "{value} instead of {expected}");
}

#[test]
fn mean_and_sample_standard_deviation() {
    let root = TempDir::new().unwrap();
    three_seeds(&root.path().join("runs"));
    let single = RunFolder { intervention: "method = \"ema\"", ..RunFolder::new("fresh", "r4", 1) };
    RunFolder { result: Some(A), ..single }.write(&root.path().join("runs"));
    let made = make(&root);

    // Loss 0.1, 0.2, 0.6: mean 0.3, squares 0.04 + 0.01 + 0.09 = 0.14, std sqrt(0.07).
    // Seconds 10, 12, 17: mean 13, squares 9 + 1 + 16 = 26, std sqrt(13).
    let rows = parse_csv(&output(&root, "results.csv"));
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0]["experiment"].as_str(), rows[0]["method"].as_str()), ("fresh", "none"));
    assert_eq!((rows[0]["model"].as_str(), rows[0]["seeds"].as_str()), ("mlp 512-256", "3"));
    close(&rows[0]["test_accuracy_percent_mean"], 97.0);
    close(&rows[0]["test_accuracy_percent_std"], 1.0);
    close(&rows[0]["test_loss_mean"], 0.3);
    close(&rows[0]["test_loss_std"], 0.07_f64.sqrt());
    close(&rows[0]["train_accuracy_percent_std"], 0.0);
    close(&rows[0]["seconds_mean"], 13.0);
    close(&rows[0]["seconds_std"], 13.0_f64.sqrt());
    close(&rows[1]["test_accuracy_percent_mean"], 96.0);
    assert_eq!(rows[1]["test_accuracy_percent_std"], "");

    let words = |line: &str| line.split_whitespace().map(str::to_string).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = made.text.lines().map(words).collect();
    let expected = "fresh mlp 512-256, none 3 97.00 ± 1.00 0.3000 ± 0.2646 99.00 ± 0.00 13.0 ± 3.6";
    assert!(lines.iter().any(|line| line == expected), "{}", made.text);
    let expected = "fresh mlp 512-256, ema 1 96.00 ± - 0.1000 ± - 99.00 ± - 10.0 ± -";
    assert!(lines.iter().any(|line| line == expected), "{}", made.text);
    assert!(made.text.contains("different devices or revisions"), "{}", made.text);
    assert!(made.text.contains("fresh, mlp 512-256, none: cpu and gpu"), "{}", made.text);
    assert_eq!(output(&root, "results.txt"), made.text);

    let markdown = output(&root, "results.md");
    let table: Vec<&str> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(table.len(), 4, "{markdown}");
    assert!(table.iter().all(|line| line.matches('|').count() == 8), "{markdown}");
    assert_eq!(table[1].matches("-:|").count(), 5, "{markdown}");
}

#[test]
fn a_figure_that_a_seed_lacks_has_no_mean() {
    let root = TempDir::new().unwrap();
    three_seeds(&root.path().join("runs"));
    let result = Some(r#"{"test_accuracy":0.1,"test_loss":null,"train_accuracy":0.99,"seconds":1}"#);
    RunFolder { result, ..RunFolder::new("fresh", "r4", 4) }.write(&root.path().join("runs"));
    let made = make(&root);
    let rows = parse_csv(&output(&root, "results.csv"));
    assert_eq!((rows[0]["test_loss_mean"].as_str(), rows[0]["seeds"].as_str()), ("", "4"));
    close(&rows[0]["test_accuracy_percent_mean"], 75.25);
    assert!(made.text.contains("fresh, mlp 512-256, none: test loss\n"), "{}", made.text);
}

#[test]
fn unfinished_runs_are_named_and_left_out() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    three_seeds(&runs);
    // Cut in the middle of its last line, as while being written.
    let cut = metrics(&[(0, 0, 0, 0.1), (10, 1, 0, 0.5)]) + "{\"step\":20,\"epoch\":2,\"pha";
    let folder = RunFolder { metrics: cut, ..RunFolder::new("fresh", "r4", 4) }.write(&runs);
    let started =
        RunFolder { intervention: "method = \"l2\"", ..RunFolder::new("fresh", "r5", 1) }.write(&runs);
    std::fs::remove_file(started.join("metrics.jsonl")).unwrap();
    let made = make(&root);

    let rows = parse_csv(&output(&root, "results.csv"));
    assert_eq!((rows[0]["method"].as_str(), rows[0]["seeds"].as_str()), ("none", "3"));
    close(&rows[0]["test_accuracy_percent_mean"], 97.0);
    assert_eq!((rows[1]["method"].as_str(), rows[1]["seeds"].as_str()), ("l2", "0"));
    assert_eq!(rows[1]["test_accuracy_percent_mean"], "");
    let line = format!("{}: fresh, mlp 512-256, none, seed 4, at step 10, epoch 1\n", folder.display());
    assert!(made.text.contains("Unfinished runs") && made.text.contains(&line), "{}", made.text);
    assert!(made.text.contains("l2, seed 1, no metrics yet"), "{}", made.text);
    // The unfinished seed is not in the curve of the finished ones.
    let points = parse_csv(&output(&root, "curves-fresh.csv"));
    assert!(points.iter().all(|point| point["seeds"] == "3"), "{points:?}");
}

#[test]
fn a_configuration_with_nothing_finished_has_its_curve_so_far() {
    let root = TempDir::new().unwrap();
    RunFolder::new("fresh", "r1", 1).write(&root.path().join("runs"));
    make(&root);
    let points = parse_csv(&output(&root, "curves-fresh.csv"));
    assert_eq!(points.len(), 2);
    close(&points[1]["test_accuracy_percent_mean"], 90.0);
    assert!(output(&root, "curves-fresh.svg").contains("unfinished"));
}

#[test]
fn a_broken_line_is_named_and_nothing_written() {
    for (metrics, number) in [
        (
            "{\"step\":0,\"epoch\":0,\"phase\":0}\n{\"step\":1,\"epo\n{\"step\":2,\"epoch\":0,\"phase\":0}\n",
            2,
        ),
        ("{\"step\":0,\"epoch\":0}\n{\"step\":2,\"epoch\":0,\"phase\":0}\n", 1),
        // Ended by a newline, so not being written any more.
        ("{\"step\":0,\"epoch\":0,\"phase\":0}\n\n{\"step\":1\n", 3),
    ] {
        let root = TempDir::new().unwrap();
        let runs = root.path().join("runs");
        let run = RunFolder { metrics: metrics.to_string(), ..RunFolder::new("fresh", "r1", 1) };
        let file = run.write(&runs).join("metrics.jsonl");
        let error = report(&[runs], Some(&root.path().join("out"))).unwrap_err();
        let message = error.to_string();
        match error {
            Error::BrokenLine { path, line, .. } => assert_eq!((path, line), (file.clone(), number)),
            other => panic!("{other:?}"),
        }
        assert!(message.starts_with(&format!("{}, line {number}: ", file.display())), "{message}");
        assert!(!root.path().join("out").exists());
    }
}

#[test]
fn broken_configs_and_results_are_named() {
    let root = TempDir::new().unwrap();
    let run = RunFolder { result: Some("{\"test_accuracy\":"), ..RunFolder::new("fresh", "r1", 1) };
    let folder = run.write(root.path());
    let error = report(std::slice::from_ref(&folder), None).unwrap_err();
    assert!(
        matches!(&error, Error::BrokenLine { path, line: 1, .. } if path.ends_with("result.json")),
        "{error:?}"
    );
    for (config, reason) in [
        ("name = ", "TOML parse error"),
        ("seed = 1\n", "no text under `name`"),
        ("name = \"fresh\"\nseed = \"x\"\n", "no whole number under `seed`"),
    ] {
        std::fs::write(folder.join("config.toml"), config).unwrap();
        let error = report(std::slice::from_ref(&folder), None).unwrap_err();
        assert!(matches!(error, Error::BrokenConfig { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn no_runs_says_where_it_looked() {
    let root = TempDir::new().unwrap();
    // The config of another tool is no run.
    std::fs::create_dir_all(root.path().join(".tool")).unwrap();
    std::fs::write(root.path().join(".tool/config.toml"), "x = 1").unwrap();
    let error = report(&[root.path().to_path_buf()], None).unwrap_err();
    assert!(
        matches!(&error, Error::NoRuns { looked } if looked == &[root.path().to_path_buf()]),
        "{error:?}"
    );
    assert!(error.to_string().contains(&root.path().display().to_string()), "{error}");
    assert!(matches!(report(&[], None), Err(Error::NoRuns { .. })));
    let missing = root.path().join("missing");
    assert!(matches!(report(&[missing], None), Err(Error::Unreadable { .. })));
    let file = root.path().join(".tool/config.toml");
    assert!(matches!(report(&[file], None), Err(Error::NotAFolder { .. })));
}

#[test]
fn labels_name_the_keys_that_differ_in_the_order_of_their_values() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    for (id, intervention) in [
        ("a", "method = \"hare-tortoise\"\nreset_every = 100\nschedule = [0.5, 1.0]"),
        ("b", "method = \"hare-tortoise\"\nreset_every = 20\nschedule = [0.5, 1.0]"),
        ("c", "method = \"hare-tortoise\"\nschedule = [1.0]"),
        ("d", "method = \"none\""),
        ("e", "method = \"ema\"\nmomentum = 0.99"),
    ] {
        RunFolder { intervention, result: Some(A), ..RunFolder::new("fresh", id, 1) }.write(&runs);
    }
    make(&root);
    let rows = parse_csv(&output(&root, "results.csv"));
    let labels: Vec<_> = rows.iter().map(|row| (row["method"].as_str(), row["settings"].as_str())).collect();
    let expected = [
        ("none", ""),
        ("ema", ""),
        ("hare-tortoise", "intervention.schedule=[1.0]"),
        ("hare-tortoise", "intervention.reset_every=20; intervention.schedule=[0.5, 1.0]"),
        ("hare-tortoise", "intervention.reset_every=100; intervention.schedule=[0.5, 1.0]"),
    ];
    assert_eq!(labels, expected);
}

#[test]
fn the_same_run_counts_once() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    three_seeds(&runs);
    // Given twice, that is no repetition.
    let made = report(&[runs.clone(), runs.join("fresh").join("r1")], None).unwrap();
    assert!(!made.text.contains("repeats") && made.files.is_empty(), "{}", made.text);
    // A copy is one, and the finished one counts.
    let copy = RunFolder::new("fresh", "r0", 1).write(&runs);
    let made = make(&root);
    let line = format!("{} repeats {}\n", copy.display(), runs.join("fresh").join("r1").display());
    assert!(made.text.contains(&line) && !made.text.contains("Unfinished"), "{}", made.text);
    let rows = parse_csv(&output(&root, "results.csv"));
    assert_eq!((rows.len(), rows[0]["seeds"].as_str()), (1, "3"));
}

#[test]
fn curves_average_the_seeds_at_each_step_of_each_phase() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    // Step 10 ends phase 0, and is evaluated again in phase 1 after a reset; the second seed wrote step 20
    // twice.
    let first = metrics(&[(0, 0, 0, 0.1), (10, 1, 0, 0.5), (10, 1, 1, 0.2), (20, 2, 1, 0.96)]);
    let second =
        metrics(&[(0, 0, 0, 0.1), (10, 1, 0, 0.7), (10, 1, 1, 0.2), (20, 2, 1, 0.3), (20, 2, 1, 0.98)]);
    for (id, seed, metrics) in [("r1", 1, first), ("r2", 2, second)] {
        RunFolder { metrics, result: Some(A), ..RunFolder::new("warm start/x", id, seed) }.write(&runs);
    }
    RunFolder { result: Some(B), ..RunFolder::new("fresh", "r1", 1) }.write(&runs);
    let made = make(&root);

    let points = parse_csv(&output(&root, "curves-warm-start-x.csv"));
    let at: Vec<_> =
        points.iter().map(|p| (p["phase"].as_str(), p["step"].as_str(), p["epoch"].as_str())).collect();
    assert_eq!(at, [("0", "0", "0"), ("0", "10", "1"), ("1", "10", "1"), ("1", "20", "2")]);
    for (point, mean, std) in [(1, 60.0, 200.0_f64.sqrt()), (2, 20.0, 0.0), (3, 97.0, 2.0_f64.sqrt())] {
        close(&points[point]["test_accuracy_percent_mean"], mean);
        close(&points[point]["test_accuracy_percent_std"], std);
        assert_eq!(points[point]["tortoise_test_accuracy_percent_mean"], "");
    }

    let names: Vec<_> = made.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    let expected = [
        "results.txt",
        "results.csv",
        "results.md",
        "curves-fresh.svg",
        "curves-fresh.csv",
        "curves-warm-start-x.svg",
        "curves-warm-start-x.csv",
        "curves.svg",
        "final.svg",
    ];
    assert_eq!(names, expected);
    let warm = output(&root, "curves-warm-start-x.svg");
    assert!(warm.contains("end of a phase") && warm.contains("<polygon"), "{warm}");
    let fresh = output(&root, "curves-fresh.svg");
    assert!(!fresh.contains("end of a phase") && !fresh.contains("± std over seeds"), "{fresh}");
    assert!(made.files.iter().all(|file| !std::fs::read_to_string(file).unwrap().contains("NaN")));
}

/// Position, size and text of each `<text>` of a figure.
fn texts(svg: &str) -> Vec<(f64, f64, f64, String)> {
    let parse = |part: &str| {
        let (attributes, rest) = part.split_once('>').unwrap();
        let number = |name: &str| -> f64 {
            let (_, rest) = attributes.split_once(&format!(" {name}=\"")).unwrap();
            rest.split_once('"').unwrap().0.parse().unwrap()
        };
        let text = rest.split_once("</text>").unwrap().0.trim().to_string();
        (number("x"), number("y"), number("font-size"), text)
    };
    svg.split("<text").skip(1).map(parse).collect()
}

#[test]
fn the_legend_of_many_configurations_does_not_overlap() {
    let methods = [
        "method = \"none\"",
        "method = \"ema\"",
        "method = \"l2\"",
        "method = \"head-reset\"",
        "method = \"shrink-perturb\"",
        "method = \"hare-tortoise+shrink-perturb\"",
        "method = \"hare-tortoise\"\nmomentum = 0.9\nreset_every_epochs = 10\nwarm_up_epochs = 100",
        "method = \"hare-tortoise\"\nmomentum = 0.99\nreset_every_epochs = 10\nwarm_up_epochs = 100",
        "method = \"hare-tortoise\"\nmomentum = 0.999\nreset_every_epochs = 10\nwarm_up_epochs = 100",
        "method = \"hare-tortoise\"\nmomentum = 0.9\nreset_every_epochs = 100\nwarm_up_epochs = 10",
        "method = \"hare-tortoise\"\nmomentum = 0.99\nreset_every_epochs = 100\nwarm_up_epochs = 10",
        "method = \"hare-tortoise\"\nmomentum = 0.999\nreset_every_epochs = 100\nwarm_up_epochs = 10",
    ];
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for count in [4, 12] {
        let root = TempDir::new().unwrap();
        for (id, intervention) in ids.into_iter().zip(methods).take(count) {
            let run =
                RunFolder { intervention, result: Some(A), ..RunFolder::new("warm-start-mnist", id, 1) };
            run.write(&root.path().join("runs"));
        }
        make(&root);
        for name in ["curves-warm-start-mnist.svg", "final.svg"] {
            let svg = output(&root, name);
            let view: Vec<f64> = {
                let (_, rest) = svg.split_once("viewBox=\"0 0 ").unwrap();
                rest.split_once('"').unwrap().0.split(' ').map(|number| number.parse().unwrap()).collect()
            };
            let texts = texts(&svg);
            assert!(
                texts.iter().filter(|text| text.3.contains("n = 1")).count() == count,
                "{name}: {texts:?}"
            );
            for (index, (x, y, size, text)) in texts.iter().enumerate() {
                assert!(*x > 0.0 && *x < view[0] && *y > 0.0 && *y + size / 2.0 < view[1], "{name}: {text}");
                for (x2, y2, size2, text2) in &texts[..index] {
                    let apart = x != x2 || (y - y2).abs() >= size.max(*size2);
                    assert!(apart, "{name}: {text:?} on {text2:?}");
                }
            }
        }
    }
}
