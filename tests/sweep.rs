//! Sweeps: the same runs as one by one, in any order, in shares, and killed at any moment.
#![cfg(unix)]

mod common;

use common::{Place, TINY};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Two methods, two noises, two seeds: eight runs of a fraction of a second.
const SWEEP: &str = "# A sweep for tests.\npreset = \"tiny.toml\"\nseeds = [1, 2]\n\
    [set]\nrun.checkpoint_seconds = 0.02\n\
    [grid]\nprotocol.noise = [[0.0, 0.0], [0.5, 0.0]]\n\
    [[cells]]\nname = \"none\"\n\
    [[cells]]\nname = \"H&T\"\nintervention.method = \"hare-tortoise\"\nmodel.dropout = 0.2\n";

/// Every run of [`SWEEP`] takes some tenths of a second.
const LONG: &str = "--set protocol.base_epochs=60 --set protocol.evaluate_every=5";

fn place() -> Place {
    let place = Place::new();
    place.write("small.toml", SWEEP);
    place
}

fn words(out: &str, more: &str) -> String {
    format!("sweep small.toml --device cpu --threads 2 --out {out} {more}")
}

/// What a sweep left: for each run folder its files, the result without what may differ.
fn left(out: &Path) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for experiment in std::fs::read_dir(out.join("small")).unwrap().flatten() {
        if experiment.path().is_file() {
            continue;
        }
        for run in std::fs::read_dir(experiment.path()).unwrap().flatten() {
            let mut files = BTreeMap::new();
            for file in std::fs::read_dir(run.path()).unwrap().flatten() {
                let name = file.file_name().into_string().unwrap();
                let mut bytes = std::fs::read(file.path()).unwrap();
                if name == "result.json" {
                    let mut result: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                    for key in ["seconds", "resumed"] {
                        result.as_object_mut().unwrap().remove(key).unwrap();
                    }
                    bytes = result.to_string().into_bytes();
                }
                files.insert(name, bytes);
            }
            all.insert(run.file_name().into_string().unwrap(), files);
        }
    }
    all
}

fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (left(a), left(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (run, files) in &a {
        assert_eq!(files.keys().collect::<Vec<_>>(), b[run].keys().collect::<Vec<_>>(), "{run}");
        for (name, bytes) in files {
            assert!(bytes == &b[run][name], "{run}: {name} differs");
        }
    }
}

#[test]
fn a_sweep_leaves_the_runs_that_single_commands_leave() {
    let place = place();
    let ended = place.ht(&words("whole", "--jobs 1")).succeeds();
    assert!(ended.stdout.contains("8 runs are finished"), "{ended:?}");
    assert_eq!(left(&place.path().join("whole")).len(), 8);
    // One of them alone, on two threads: only the name of the device may differ, and it does not.
    place
        .ht("run tiny.toml --device cpu --threads 2 --out single/small --seed 2 --set run.checkpoint_seconds=0.02 \
             --set intervention.method=hare-tortoise --set model.dropout=0.2")
        .succeeds();
    let (whole, single) = (left(&place.path().join("whole")), left(&place.path().join("single")));
    assert_eq!(single.len(), 1);
    for (run, files) in &single {
        assert!(files == &whole[run], "{run} differs");
    }
    let again = place.ht(&words("whole", "--jobs 1")).succeeds();
    assert_eq!(again.stdout.lines().count(), 1, "nothing is run twice: {again:?}");
}

#[test]
fn killed_at_any_moment_and_started_again_it_leaves_the_same_bytes() {
    let place = place();
    place.ht(&words("whole", LONG)).succeeds();
    let command = words("cut", LONG);
    let mut kills = 0;
    for attempt in 0u64..12 {
        let mut sweep = place.start(&command);
        std::thread::sleep(Duration::from_millis(60 + attempt * 37 % 200));
        if !sweep.is_running() {
            break;
        }
        match attempt % 3 {
            0 => {
                sweep.signal("INT");
                let ended = sweep.wait();
                assert!(matches!(ended.code, Some(0 | 130)) || ended.code.is_none(), "{ended:?}");
            }
            _ => {
                sweep.signal("KILL");
                kills += i32::from(sweep.wait().code.is_none());
            }
        }
    }
    assert!(kills >= 2, "the test killed it {kills} times only");
    place.ht(&command).succeeds();
    assert_same(&place.path().join("whole"), &place.path().join("cut"));
    let records = |out: &str| -> Vec<_> {
        let folder = std::fs::read_dir(place.path().join(out).join("small")).unwrap().flatten();
        folder.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name()).collect()
    };
    assert_eq!((records("whole").len(), records("whole")), (1, records("cut")), "named after their content");
}

#[test]
fn a_stop_saves_all_jobs_and_says_how_to_go_on() {
    let place = place();
    let mut sweep = place.start(&words("runs", "--set protocol.base_epochs=3000 --jobs 2"));
    let begun = || {
        let folder = place.path().join("runs/small/tiny");
        let runs = std::fs::read_dir(folder).into_iter().flatten().flatten();
        runs.filter(|run| run.path().join("checkpoint.safetensors").exists()).count()
    };
    while begun() < 2 {
        assert!(sweep.is_running());
        std::thread::sleep(Duration::from_millis(5));
    }
    sweep.signal("INT");
    sweep.wait().fails(130, &["stopped", "resume"]);
    let listed = place.ht(&words("runs", "--set protocol.base_epochs=3000 --dry-run")).succeeds().stdout;
    assert_eq!(listed.matches("begun ").count(), 2, "{listed}");
    assert_eq!(listed.matches("new ").count(), 6, "{listed}");
}

#[test]
fn two_shares_equal_the_whole() {
    let place = place();
    place.ht(&words("whole", "")).succeeds();
    for share in ["2/2", "1/2"] {
        let ended = place.ht(&words("parts", &format!("--shard {share}"))).succeeds();
        assert!(ended.stdout.contains("4 runs are finished"), "{ended:?}");
    }
    assert_same(&place.path().join("whole"), &place.path().join("parts"));
}

#[test]
fn a_failed_run_is_reported_kept_and_tried_again_only_on_request() {
    let place = place();
    let bad = "name = \"bad\"\noptimizer.lr = 1e30\noptimizer.clip = 0.0\nmodel.batch_norm = false\n";
    place.write(
        "small.toml",
        SWEEP.replace("[[cells]]\nname = \"H&T\"", &format!("[[cells]]\n{bad}[[cells]]\nname = \"H&T\"")),
    );
    let wanted = ["4 of 12 runs failed", "bad, protocol.noise=[0.5, 0.0], seed 2", "not finite", "--retry"];
    place.ht(&words("runs", "")).fails(1, &wanted);
    let finished =
        left(&place.path().join("runs")).values().filter(|files| files.contains_key("result.json")).count();
    assert_eq!(finished, 8, "the others go on");
    let again = place.ht(&words("runs", "")).fails(1, &["4 of 12", "earlier attempt"]);
    assert!(!again.stdout.contains("FAILED"), "nothing ran: {again:?}");
    let retried = place.ht(&words("runs", "--retry")).fails(1, &wanted);
    assert_eq!(retried.stdout.matches("FAILED").count(), 4, "{retried:?}");
}

#[test]
fn a_folder_of_other_configs_is_refused() {
    let place = place();
    place.ht(&words("runs", "")).succeeds();
    place
        .ht(&words("runs", "--set optimizer.lr=0.5"))
        .fails(2, &["every cell", "optimizer.lr", "0.5", "--out"]);
    place.write("small.toml", SWEEP.replace("dropout = 0.2", "dropout = 0.3"));
    place
        .ht(&words("runs", ""))
        .fails(2, &["'H&T, protocol.noise=[0.0, 0.0]'", "model.dropout", "0.2", "0.3"]);
    // Seeds and cells may be added.
    let more = SWEEP.replace("seeds = [1, 2]", "seeds = [1, 3]")
        + "[[cells]]\nname = \"ema\"\nintervention.method = \"ema\"\n";
    place.write("small.toml", more);
    let ended = place.ht(&words("runs", "")).succeeds();
    assert_eq!(left(&place.path().join("runs")).len(), 8 + 4 + 4, "{ended:?}");
}

#[test]
fn mistakes_are_named_before_anything_runs() {
    let place = place();
    for (file, more, says) in [
        ("", "--shard 3/2", vec!["--shard 3/2", "I/N"]),
        ("", "--set optimizer.lr=-1", vec!["'none, protocol.noise=[0.0, 0.0]'", "optimizer.lr = -1"]),
        ("[[cells]]\nname = \"x\"\n", "", vec!["same run", "'none", "'x"]),
        ("[[cells]]\nname = \"x\"\nmodel.classes = 7\n", "", vec!["'x", "in 10 classes", "in 7"]),
        (
            "[[cells]]\nname = \"x\"\nprotocol.ratios = [0.0001, 0.5]\n",
            "",
            vec!["'x", "phase 0 has no example"],
        ),
    ] {
        place.write("small.toml", format!("{SWEEP}{file}"));
        place.ht(&words("runs", more)).fails(2, &says);
        assert!(!place.path().join("runs").exists(), "{file} {more}");
    }
    place.ht("sweep smal").fails(2, &["no sweep or file 'smal'", "--list"]);
    place.ht("sweep table4-mnst").fails(2, &["did you mean 'table4-mnist'"]);
    place.write("tiny.toml", TINY.replace("strokes", "mnist").replace("train = 600\ntest = 200\n", ""));
    place.write("small.toml", SWEEP);
    place.ht(&words("runs", "--data nowhere")).fails(1, &["mnist", "nowhere"]);
    assert!(!place.path().join("runs").exists());
}
