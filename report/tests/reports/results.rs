//! The table of all configurations and the learning curves, and what happens with unfinished and repeated runs.

use super::*;

#[test]
fn mean_and_sample_standard_deviation() {
    let root = TempDir::new().unwrap();
    three_seeds(&root.path().join("runs"));
    let single = RunFolder { intervention: "method = \"ema\"", ..RunFolder::new("fresh", "r4", 1) };
    RunFolder { result: Some(A), ..single }.write(&root.path().join("runs"));
    let made = make(&root);

    // Loss 0.1, 0.2, 0.6: mean 0.3, squares 0.04 + 0.01 + 0.09 = 0.14, std sqrt(0.07).
    // Seconds 10, 12, 17: mean 13, squares 9 + 1 + 16 = 26, std sqrt(13).
    let rows = parse_csv(&output(&root, "tables/results.csv"));
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
    let expected = "fresh mlp 512-256 none 3 97.00 ± 1.00 0.3000 ± 0.2646 99.00 ± 0.00 13.0 ± 3.6";
    assert!(lines.iter().any(|line| line == expected), "{}", made.text);
    let expected = "fresh mlp 512-256 ema 1 96.00 ± - 0.1000 ± - 99.00 ± - 10.0 ± -";
    assert!(lines.iter().any(|line| line == expected), "{}", made.text);
    assert!(made.text.contains("different devices or revisions"), "{}", made.text);
    assert!(made.text.contains("fresh, mlp 512-256, none: cpu and gpu"), "{}", made.text);

    let markdown = output(&root, "report.md");
    let table: Vec<&str> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(table.len(), 4, "{markdown}");
    assert!(table.iter().all(|line| line.matches('|').count() == 10), "{markdown}");
    assert_eq!(table[1].matches("--: |").count(), 5, "{markdown}");
    let page = output(&root, "index.html");
    for figure in ["<td class=\"figure\">97.00 ± 1.00</td>", "<td class=\"figure\">13.0 ± 3.6</td>"] {
        assert!(page.contains(figure), "{page}");
    }
}

#[test]
fn a_figure_that_a_seed_lacks_has_no_mean() {
    let root = TempDir::new().unwrap();
    three_seeds(&root.path().join("runs"));
    let result = Some(r#"{"test_accuracy":0.1,"test_loss":null,"train_accuracy":0.99,"seconds":1}"#);
    RunFolder { result, ..RunFolder::new("fresh", "r4", 4) }.write(&root.path().join("runs"));
    let made = make(&root);
    let rows = parse_csv(&output(&root, "tables/results.csv"));
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

    let rows = parse_csv(&output(&root, "tables/results.csv"));
    assert_eq!((rows[0]["method"].as_str(), rows[0]["seeds"].as_str()), ("none", "3"));
    close(&rows[0]["test_accuracy_percent_mean"], 97.0);
    assert_eq!((rows[1]["method"].as_str(), rows[1]["seeds"].as_str()), ("l2", "0"));
    assert_eq!(rows[1]["test_accuracy_percent_mean"], "");
    let line = format!("{}: fresh, mlp 512-256, none, seed 4, at step 10, epoch 1\n", folder.display());
    assert!(made.text.contains("Unfinished runs") && made.text.contains(&line), "{}", made.text);
    assert!(made.text.contains("l2, seed 1, no metrics yet"), "{}", made.text);
    // The unfinished seed is not in the curve of the finished ones.
    let points = parse_csv(&output(&root, "tables/curves-fresh.csv"));
    assert!(points.iter().all(|point| point["seeds"] == "3"), "{points:?}");
}

#[test]
fn a_configuration_with_nothing_finished_has_its_curve_so_far() {
    let root = TempDir::new().unwrap();
    RunFolder::new("fresh", "r1", 1).write(&root.path().join("runs"));
    make(&root);
    let points = parse_csv(&output(&root, "tables/curves-fresh.csv"));
    assert_eq!(points.len(), 2);
    close(&points[1]["test_accuracy_percent_mean"], 90.0);
    assert!(output(&root, "figures/curves-fresh.svg").contains("unfinished"));
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
    let rows = parse_csv(&output(&root, "tables/results.csv"));
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
    let rows = parse_csv(&output(&root, "tables/results.csv"));
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

    let points = parse_csv(&output(&root, "tables/curves-warm-start-x.csv"));
    let at: Vec<_> =
        points.iter().map(|p| (p["phase"].as_str(), p["step"].as_str(), p["epoch"].as_str())).collect();
    assert_eq!(at, [("0", "0", "0"), ("0", "10", "1"), ("1", "10", "1"), ("1", "20", "2")]);
    for (point, mean, std) in [(1, 60.0, 200.0_f64.sqrt()), (2, 20.0, 0.0), (3, 97.0, 2.0_f64.sqrt())] {
        close(&points[point]["test_accuracy_percent_mean"], mean);
        close(&points[point]["test_accuracy_percent_std"], std);
        assert_eq!(points[point]["tortoise_test_accuracy_percent_mean"], "");
    }

    let out = root.path().join("out");
    let name = |file: &PathBuf| file.strip_prefix(&out).unwrap().to_str().unwrap().replace('\\', "/");
    let names: Vec<String> = made.files.iter().map(name).collect();
    let expected = [
        "index.html",
        "report.md",
        "tables/curves.csv",
        "figures/curves.svg",
        "tables/curves-fresh.csv",
        "figures/curves-fresh.svg",
        "tables/curves-warm-start-x.csv",
        "figures/curves-warm-start-x.svg",
        "tables/results.csv",
    ];
    assert_eq!(names, expected);
    let warm = output(&root, "figures/curves-warm-start-x.svg");
    assert!(
        warm.contains("end of a phase")
            && warm.contains("± sample standard deviation")
            && warm.contains("<polygon"),
        "{warm}"
    );
    let fresh = output(&root, "figures/curves-fresh.svg");
    assert!(!fresh.contains("end of a phase") && !fresh.contains("± sample standard deviation"), "{fresh}");
    assert!(made.files.iter().all(|file| !std::fs::read_to_string(file).unwrap().contains("NaN")));
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
        let svg = output(&root, "figures/curves-warm-start-mnist.svg");
        assert_eq!(svg.matches("(n = 1)").count(), count);
        texts_are_apart("curves", &svg);
    }
}
