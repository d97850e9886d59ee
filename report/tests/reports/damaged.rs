//! One bad item hides no other: what cannot be read is listed with its reason, and the rest is reported.

use super::*;
use report::NotRead;

/// The only thing that was not read.
#[track_caller]
fn only(report: &Report) -> &NotRead {
    assert_eq!(report.not_read.len(), 1, "{:?}", report.not_read);
    &report.not_read[0]
}

#[test]
fn a_broken_line_is_named_and_all_other_runs_are_reported() {
    for (metrics, reason) in [
        (
            "{\"step\":0,\"epoch\":0,\"phase\":0}\n{\"step\":1,\"epo\n{\"step\":2,\"epoch\":0,\"phase\":0}\n",
            "line 2: EOF while parsing a string at column",
        ),
        ("{\"step\":0,\"epoch\":0}\n{\"step\":2,\"epoch\":0,\"phase\":0}\n", "line 1: missing field `phase`"),
        // Ended by a newline, so not being written any more.
        ("{\"step\":0,\"epoch\":0,\"phase\":0}\n\n{\"step\":1\n", "line 3: EOF while parsing an object"),
        ("{\"step\":0,\"epoch\":0,\"phase\":0}\n\0\0\0\0\n", "line 2: zero bytes"),
    ] {
        let root = TempDir::new().unwrap();
        let runs = root.path().join("runs");
        three_seeds(&runs);
        let run = RunFolder { metrics: metrics.to_string(), ..RunFolder::new("fresh", "r9", 9) };
        let file = run.write(&runs).join("metrics.jsonl");
        let made = make(&root);
        let item = only(&made);
        assert_eq!((&item.path, item.named), (&file, false));
        assert!(item.reason.starts_with(reason), "{item}");
        assert_eq!(parse_csv(&output(&root, "tables/results.csv"))[0]["seeds"], "3");
        for name in ["index.html", "report.md"] {
            let page = output(&root, name);
            assert!(page.contains("Not read") && page.contains("metrics.jsonl: line"), "{page}");
            assert!(page.contains("1 files or folders that could not be read"), "{page}");
        }
    }
}

#[test]
fn zero_bytes_behind_the_last_line_are_a_line_being_written() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    let metrics = metrics(&[(10, 1, 0, 0.9)]) + "\0\0\0\0\0\0\0\0";
    RunFolder { metrics, ..RunFolder::new("fresh", "r1", 1) }.write(&runs);
    let made = make(&root);
    assert!(made.not_read.is_empty() && made.text.contains("at step 10, epoch 1"), "{}", made.text);
}

#[test]
fn broken_configs_and_results_are_named() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    three_seeds(&runs);
    let folder = RunFolder { result: Some(A), ..RunFolder::new("fresh", "r9", 9) }.write(&runs);
    let config = std::fs::read(folder.join("config.toml")).unwrap();
    let no_model = "name = \"x\"\nseed = 1\n[data]\n";
    for (file, content, reason) in [
        ("result.json", &b""[..], "the file is empty"),
        ("result.json", b"\n", "the file is empty"),
        ("result.json", b"{\"test_accuracy\":", "EOF while parsing a value at line 1"),
        ("result.json", b"\0\0\0\0", "zero bytes"),
        ("result.json", b"{\"seconds\":1,\"test_accuracy\":\"high\"}", "test_accuracy: invalid type: string"),
        ("result.json", b"{\"segments\":[{\"to_step\":\"x\"}]}", "segments: invalid type: string"),
        ("config.toml", b"name = ", "not the config of a run: not TOML, line 1: "),
        ("config.toml", b"seed = 1\n", "not the config of a run: no text under `name`"),
        (
            "config.toml",
            b"name = \"fresh\"\nseed = \"x\"\n",
            "not the config of a run: no whole number under `seed`",
        ),
        ("config.toml", no_model.as_bytes(), "not the config of a run: no section [model]"),
        ("config.toml", b"name = \"\xff\"", "not the config of a run: not UTF-8"),
        ("config.toml", b"", "not the config of a run: no text under `name`"),
    ] {
        std::fs::write(folder.join("config.toml"), &config).unwrap();
        std::fs::write(folder.join("result.json"), A).unwrap();
        std::fs::write(folder.join(file), content).unwrap();
        let made = make(&root);
        let item = only(&made);
        assert_eq!((&item.path, item.named), (&folder.join(file), false), "{item}");
        assert!(item.reason.starts_with(reason), "{item}");
        assert_eq!(parse_csv(&output(&root, "tables/results.csv"))[0]["seeds"], "3");
        // Named by the user, it is said to be so.
        let made = report(&[runs.join("fresh/r1"), folder.clone()], None).unwrap();
        assert!(only(&made).named, "{:?}", made.not_read);
    }
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    three_seeds(&runs);
    let folder = RunFolder::new("fresh", "r9", 9).write(&runs);
    std::fs::create_dir(folder.join("result.json")).unwrap();
    let made = make(&root);
    assert_eq!(only(&made).reason, "not a regular file");
}

#[test]
fn a_foreign_config_is_no_run_and_hides_none_below() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    three_seeds(&runs);
    std::fs::write(runs.join("config.toml"), "baseURL = \"https://example.org\"\n").unwrap();
    std::fs::write(runs.join("fresh").join("config.toml"), "not = = toml").unwrap();
    let made = make(&root);
    assert!(made.not_read.is_empty(), "{:?}", made.not_read);
    let note = format!("  {}: no text under `name`\n", runs.display());
    assert!(made.text.contains("not that of a run") && made.text.contains(&note), "{}", made.text);
    assert_eq!(parse_csv(&output(&root, "tables/results.csv"))[0]["seeds"], "3");
    assert!(output(&root, "report.md").contains("not that of a run"));
}

#[test]
fn failed_runs_say_why() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    three_seeds(&runs);
    let failed = RunFolder::new("fresh", "r8", 8).write(&runs);
    std::fs::write(failed.join("failed.json"), "{\"error\": \"the loss\\nis \\u001b[31mNaN\"}\n").unwrap();
    // With a result since, the failure means nothing.
    let fixed = RunFolder { result: Some(A), ..RunFolder::new("fresh", "r7", 7) }.write(&runs);
    std::fs::write(fixed.join("failed.json"), "{\"error\": \"power\"}").unwrap();
    let made = make(&root);
    let line = format!(
        "Failed runs, left out of the means:\n  {}: fresh, mlp 512-256, none, seed 8, at step 10, epoch 1: the loss is \
         \u{fffd}[31mNaN\n",
        failed.display()
    );
    assert!(made.text.contains(&line), "{}", made.text);
    assert!(!made.text.contains("Unfinished") && !made.text.contains("power"), "{}", made.text);
    assert!(output(&root, "index.html").contains("4 finished runs, 1 failed runs."));
    std::fs::write(failed.join("failed.json"), "").unwrap();
    assert_eq!(only(&make(&root)).path, failed.join("failed.json"));
}

#[test]
fn no_runs_says_where_it_looked_and_what_it_found() {
    let root = TempDir::new().unwrap();
    // The config of another tool is no run.
    std::fs::create_dir_all(root.path().join(".tool")).unwrap();
    std::fs::write(root.path().join(".tool/config.toml"), "x = 1").unwrap();
    let looked = |error: Error| match error {
        Error::NoRuns { looked, not_read } => (looked, not_read),
        other => panic!("{other:?}"),
    };
    let path = root.path().to_path_buf();
    let error = report(std::slice::from_ref(&path), None).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert_eq!(looked(error).0, [path]);
    assert!(looked(report(&[], None).unwrap_err()).1.is_empty());
    for (path, reason) in
        [("missing", "No such file"), (".tool/config.toml", "not a folder"), (".tool", "not the config")]
    {
        let error = report(&[root.path().join(path)], Some(&root.path().join("out"))).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(looked(error).1[0].reason.contains(reason));
        assert!(!root.path().join("out").exists());
    }
}

#[test]
fn a_given_path_without_runs_is_named_beside_others() {
    let root = TempDir::new().unwrap();
    let runs = root.path().join("runs");
    three_seeds(&runs);
    std::fs::create_dir(root.path().join("empty")).unwrap();
    let given = |paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(|path| root.path().join(path)).collect();
        report(&paths, None).unwrap().not_read
    };
    let named = |path: &str, reason: &str, named| {
        let not_read = given(&["runs", path]);
        assert_eq!((not_read.len(), not_read[0].named), (1, named), "{not_read:?}");
        assert!(not_read[0].reason.contains(reason), "{not_read:?}");
    };
    named("empty", "no runs at or below", false);
    named("missing", "No such file", true);
    named("runs/fresh/r1/config.toml", "not a folder", true);
    // What lies in another path was read with that.
    assert_eq!(given(&["runs", "runs/fresh", "runs/fresh/r1", "."]), []);
    assert_eq!(given(&["runs/fresh/r1", "runs"]), []);
}

#[test]
fn a_report_goes_into_a_folder() {
    let root = TempDir::new().unwrap();
    three_seeds(&root.path().join("runs"));
    let file = root.path().join("out");
    std::fs::write(&file, "mine").unwrap();
    let runs = [root.path().join("runs")];
    assert!(matches!(report(&runs, Some(&file)), Err(Error::OutIsNoFolder { path }) if path == file));
    assert!(matches!(report(&runs, Some(&file.join("below"))), Err(Error::Unwritable { .. })));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}
