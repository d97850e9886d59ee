//! The life of a run in a folder that others use, on data that change, on file systems that know less.
#![cfg(unix)]

mod common;

use common::{Place, run_words, small_mnist};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn json(path: &Path) -> Value {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// The run folders of a sweep.
fn runs(place: &Place, sweep: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(place.path().join(sweep).join("tiny"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

#[test]
fn shares_that_start_together_on_one_folder_all_run() {
    let place = Place::new();
    place.write(
        "eight.toml",
        "preset = \"tiny.toml\"\nseeds = [1, 2, 3, 4, 5, 6, 7, 8]\n[set]\nprotocol.base_epochs = 1\n",
    );
    for round in 0..4 {
        let words =
            |share| format!("sweep eight.toml --shard {share}/8 --out r{round} --device cpu --threads 1");
        let shares: Vec<_> = (1..=8).map(|share| place.start(&words(share))).collect();
        shares.into_iter().for_each(|share| drop(share.wait().succeeds()));
        let folder = place.path().join(format!("r{round}/eight"));
        let names: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 2, "the experiment and one record: {names:?}");
        let runs = runs(&place, &format!("r{round}/eight"));
        assert_eq!(runs.len(), 8);
        assert!(runs.iter().all(|run| run.join("result.json").exists()));
    }
}

#[test]
fn a_run_that_fails_in_its_last_update_is_one_failure_and_no_panic() {
    let place = Place::new();
    let bad = "--set optimizer.lr=1e39 --set optimizer.warmup=0 --set optimizer.clip=0 --set protocol.base_epochs=1 \
               --set protocol.ratios=[1] --set protocol.noise=[0] --set optimizer.batch=600 \
               --set protocol.final_accuracy=last-scheduled --set protocol.evaluate_every=5 --set model.batch_norm=false";
    let message = place.ht(&run_words("one", bad)).fails(1, &["not finite", "phase 0", "epoch 1"]).stderr;
    let failed = json(&place.run_folder("one").join("failed.json"));
    assert!(message.contains(failed["error"].as_str().unwrap()), "{message} {failed}");

    place.write(
        "some.toml",
        "preset = \"tiny.toml\"\nseeds = [1]\n[set]\nprotocol.base_epochs = 1\n[[cells]]\nname = \"bad\"\n\
         optimizer.lr = 1e39\noptimizer.warmup = 0\noptimizer.clip = 0\nmodel.batch_norm = false\n\
         protocol.ratios = [1]\nprotocol.noise = [0]\noptimizer.batch = 600\n\
         protocol.final_accuracy = \"last-scheduled\"\nprotocol.evaluate_every = 5\n[[cells]]\nname = \"good\"\n",
    );
    let sweep = "sweep some.toml --device cpu --threads 1";
    place.ht(sweep).fails(1, &["1 of 2 runs failed", "bad, seed 1", "not finite"]);
    let results = runs(&place, "runs/some").iter().filter(|run| run.join("result.json").exists()).count();
    assert_eq!(results, 1, "the other run goes on");
}

#[test]
fn a_folder_that_cannot_be_read_hides_no_other_run() {
    let place = Place::new();
    place.write(
        "four.toml",
        "preset = \"tiny.toml\"\nseeds = [1, 2, 3, 4]\n[set]\nprotocol.base_epochs = 1\n",
    );
    let sweep = "sweep four.toml --device cpu --threads 1";
    place.ht(sweep).succeeds();
    let folders = runs(&place, "runs/four");
    std::fs::write(folders[0].join("result.json"), "").unwrap();
    std::fs::remove_file(folders[1].join("result.json")).unwrap();
    std::fs::write(folders[2].join("config.toml"), "title = \"a web site\"\n").unwrap();
    let ended = place.ht(sweep).fails(1, &["2 of 4 runs failed", "result.json", "remove it", "config.toml"]);
    assert!(folders[1].join("result.json").exists(), "{ended:?}");
    assert_eq!(std::fs::read(folders[0].join("result.json")).unwrap(), b"", "left as it is");
    let listed = place.ht(&format!("{sweep} --dry-run")).succeeds().stdout;
    assert_eq!((listed.matches("bad ").count(), listed.matches("finished ").count()), (2, 2), "{listed}");
    // What the lines say is the way out, and --retry alone is none.
    place
        .ht(&format!("{sweep} --retry"))
        .fails(1, &["2 of 4 runs failed", "the same command finishes the run"]);
    std::fs::remove_file(folders[0].join("result.json")).unwrap();
    place.ht(sweep).fails(1, &["1 of 4 runs failed", "config.toml", "another --out"]);
    assert!(folders[0].join("result.json").exists());
    std::fs::remove_dir_all(&folders[2]).unwrap();
    place.ht(sweep).succeeds();
}

#[test]
fn other_data_are_refused_where_a_run_goes_on_and_where_it_is_skipped() {
    let place = Place::new();
    let put = |folder: &str, change: Option<usize>| {
        let mut files = small_mnist();
        if let Some(byte) = change {
            files[0].1[byte] ^= 1;
        }
        for (name, bytes) in files {
            place.write(&format!("{folder}/mnist/{name}"), bytes);
        }
    };
    put("here", None);
    put("same", None);
    put("other", Some(5000));
    let words =
        |out: &str, data: &str| run_words(out, &format!("--set data.set=mnist --threads 1 --data {data}"));
    place.ht(&words("done", "here")).succeeds();
    place.ht(&words("done", "same")).succeeds();
    let digest = json(&place.run_folder("done").join("result.json"))["data_digest"].clone();
    let short = &digest.as_str().unwrap()[..12];
    place.ht(&words("done", "other")).fails(1, &["was finished on data", short, "--out"]);
    let gone = place.ht(&words("done", "nowhere")).succeeds();
    assert!(gone.stdout.starts_with("already finished"), "a result is shown without its data: {gone:?}");

    let long = |data: &str| format!("{} --set protocol.base_epochs=300", words("half", data));
    let mut run = place.start(&long("here"));
    place.wait_for("half", &mut run, 0, 100);
    run.signal("TERM");
    run.wait().fails(130, &[]);
    let metrics = std::fs::read(place.run_folder("half").join("metrics.jsonl")).unwrap();
    place.ht(&long("other")).fails(1, &["was begun on data", short, "--out"]);
    assert_eq!(std::fs::read(place.run_folder("half").join("metrics.jsonl")).unwrap(), metrics);
    place.ht(&long("same")).succeeds();

    place.write("sweep.toml", "preset = \"tiny.toml\"\n[set]\ndata.set = \"mnist\"\n");
    place.ht("sweep sweep.toml --device cpu --data here").succeeds();
    place.ht("sweep sweep.toml --device cpu --data other").fails(1, &["was finished on data", short]);
}

#[test]
fn a_result_says_what_made_it() {
    let place = Place::new();
    place.ht(&run_words("runs", "--threads 1")).succeeds();
    let result = json(&place.run_folder("runs").join("result.json"));
    let segments = result["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 1);
    assert_eq!((&segments[0]["from_step"], &segments[0]["to_step"]), (&Value::from(0), &result["steps"]));
    assert_eq!(segments[0]["device"], "cpu");
    assert!(segments[0]["instruction_set"].is_string() && segments[0]["dirty"].is_boolean());
    assert_eq!(result["data_origin"], "built in");
    assert_eq!(result["data_digest"].as_str().unwrap().len(), 64);
}

#[test]
fn a_move_to_another_instruction_set_is_allowed_said_and_recorded() {
    let place = Place::new();
    let words = run_words("runs", "--threads 1 --set protocol.base_epochs=300");
    let mut run = place.start(&words);
    place.wait_for("runs", &mut run, 0, 100);
    run.signal("TERM");
    run.wait().fails(130, &[]);
    let moved = place.command(&words).env("HT_ISA", "portable").output().unwrap();
    let stderr = String::from_utf8_lossy(&moved.stderr);
    assert!(moved.status.success(), "{stderr}");
    let result = json(&place.run_folder("runs").join("result.json"));
    let segments = result["segments"].as_array().unwrap();
    if segments[0]["instruction_set"] == "portable" {
        return; // This processor has nothing better.
    }
    assert!(stderr.starts_with("note: ") && stderr.contains("goes on on cpu (portable)"), "{stderr}");
    assert_eq!(segments.len(), 2, "{segments:?}");
    assert_eq!(segments[0]["to_step"], segments[1]["from_step"]);
    assert_eq!(segments[1]["to_step"], result["steps"]);
}

#[test]
fn a_hangup_saves_and_stops_unless_it_is_to_be_ignored() {
    let place = Place::new();
    // Long enough that it cannot end before the signal comes, however busy the machine is.
    let words = run_words("runs", "--threads 1 --set protocol.base_epochs=4000");
    let mut run = place.start(&words);
    place.wait_for("runs", &mut run, 0, 50);
    run.signal("HUP");
    run.wait().fails(130, &["resume"]);
    assert!(place.run_folder("runs").join("checkpoint.safetensors").exists());

    let ht = place.command(&run_words("ignored", "--threads 1 --set protocol.base_epochs=400"));
    let mut under_nohup = Command::new("nohup");
    under_nohup.arg(ht.get_program()).args(ht.get_args()).current_dir(place.path());
    let mut child =
        under_nohup.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let sent = Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap();
    assert!(child.wait().unwrap().success(), "it goes on to its end");
    assert!(sent.success() || place.run_folder("ignored").join("result.json").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_system_without_locks_is_said_and_works() {
    let place = Place::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/noflock.c");
    let library = place.path().join("noflock.so");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", source, "-o"]).arg(&library).status().unwrap();
    assert!(compiled.success());
    place.ht(&run_words("runs", "")).succeeds();
    let folder = place.run_folder("runs");
    let remains = |name: &str| {
        let path = folder.join(name);
        let days = std::time::Duration::from_secs(2 * 24 * 60 * 60);
        std::fs::File::create(&path).unwrap().set_modified(std::time::SystemTime::now() - days).unwrap();
        path
    };
    let of_a_finished_run = remains(".result.json.a1B2c3.partial");
    place.ht(&run_words("runs", "")).succeeds();
    assert!(!of_a_finished_run.exists());
    std::fs::remove_file(folder.join("result.json")).unwrap();
    let (old, young) = (remains(".result.json.a1B2c3.partial"), folder.join(".result.json.d4E5f6.partial"));
    std::fs::write(&young, "somebody writes this").unwrap();
    let ended = place.command(&run_words("runs", "")).env("LD_PRELOAD", &library).output().unwrap();
    assert!(!old.exists() && young.exists());
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{stderr}");
    assert!(stderr.starts_with("note: ") && stderr.contains("cannot be locked"), "{stderr}");
    assert!(place.run_folder("runs").join("result.json").exists());
}

/// The run folders of [`OLD`] as revision 39c77da left them, below `runs`.
fn old_runs(place: &Place) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/old_runs");
    let copied = Command::new("cp").arg("-r").arg(from).arg(place.path().join("runs")).status().unwrap();
    assert!(copied.success());
    place.write("old.toml", "name = \"old\"\n");
    place.path().join("runs/old")
}

const OLD: &str = "run old.toml --device cpu --threads 1 --set data.set=strokes --set data.test=32";
const SMALL: &str = "--set data.downsample=4 --set model.image_size=7 --set model.hidden=[4] \
                     --set protocol.ratios=[0.5,0.5] --set protocol.noise=[0.5,0]";

#[test]
fn finished_runs_of_version_1_are_found_and_left_as_they_are() {
    let place = Place::new();
    let folder = old_runs(&place);
    let short = format!("{OLD} {SMALL} --set data.train=96 --set protocol.base_epochs=2");
    for (words, id) in [
        ("--set intervention.method=hare-tortoise", "hare-tortoise-seed1-40b046bc"),
        ("--set intervention.method=ema+l2 --seed 2", "l2+ema-seed2-275e356f"),
    ] {
        let before = std::fs::read(folder.join(id).join("config.toml")).unwrap();
        let ended = place.ht(&format!("{short} {words}")).succeeds();
        assert!(ended.stdout.contains(&format!("already finished: runs/old/{id}")), "{ended:?}");
        assert!(ended.stderr.contains("version 1") && ended.stderr.contains("on which data"), "{ended:?}");
        assert_eq!(std::fs::read(folder.join(id).join("config.toml")).unwrap(), before);
    }
    // Another learning rate is another run, and has a folder of today.
    place.ht(&format!("{short} --set intervention.method=hare-tortoise --set optimizer.lr=0.01")).succeeds();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 5);
    let report = place.ht("report runs").succeeds().stdout;
    assert!(report.contains("version 1: 4 runs") && report.contains("hare-tortoise"), "{report}");
}

#[test]
fn a_half_done_run_of_version_1_goes_on_where_it_lies() {
    let place = Place::new();
    let folder = old_runs(&place).join("hare-tortoise-seed3-05cc405e");
    let words = format!(
        "{OLD} {SMALL} --set data.train=4000 --set optimizer.batch=1 --set protocol.base_epochs=12 \
         --set model.batch_norm=false --set intervention.method=hare-tortoise --seed 3"
    );
    let before = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let ended = place.ht(&words).succeeds();
    assert!(ended.stderr.contains("version 1") && ended.stderr.contains("on which data"), "{ended:?}");
    let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    assert!(metrics.starts_with(&before), "what it had logged is still there");
    let result = json(&folder.join("result.json"));
    let segments = result["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2, "{segments:?}");
    assert_eq!(segments[0]["device"], "not recorded");
    assert_eq!((&result["resumed"], &segments[1]["to_step"]), (&Value::from(true), &result["steps"]));
    assert!(place.ht(&words).succeeds().stdout.starts_with("already finished"));
}

#[test]
fn a_run_of_version_1_whose_key_meant_something_else_is_refused_by_name() {
    let place = Place::new();
    old_runs(&place);
    let words = format!(
        "{OLD} --set data.train=96 --set protocol.base_epochs=2 --set model.name=vit-tiny --set model.dim=8 \
         --set model.depth=1 --set model.heads=1 --set model.patch=7 --set model.image_size=28 --set model.channels=1 \
         --set model.classes=10 --set intervention.method=regen --set intervention.regen.form=last-tensors"
    );
    place.ht(&words).fails(1, &["regen-seed1-8804d6a0", "version 1", "final layer norm", "--out"]);
    place.ht(&format!("{words} --out elsewhere")).succeeds();
}
