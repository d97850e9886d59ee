//! Wrong files give errors, whatever is wrong with them: sweeps, and what lies in run folders. Every reader has such a
//! test in its crate; CONTRIBUTING.md has the command for long runs.

// An error of a sweep names path, cell, key and both values; there is one in a process.
#![allow(clippy::result_large_err)]

#[path = "common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
#[path = "common/mutate.rs"]
#[allow(dead_code, unreachable_pub)]
mod mutate;

use allocations::Bound;
use experiments::Config;
use experiments::config::RunConfig;
use experiments::config::parse_set;
use experiments::lifecycle;
use experiments::sweep::{Record, Sweep};
use mutate::{Mutator, rounds};
use std::path::Path;

const SWEEPS: [&str; 3] = [
    "preset = \"warm-start-strokes\"\nseeds = [1, 2]\n[set]\noptimizer.lr = 0.1\n[grid]\n\
     protocol.noise = [[0.5, 0.0], [0.0, 0.0]]\n\"model.hidden\" = [[8], [16, 12]]\n",
    "# Words.\npreset = [\"fresh-strokes\", \"fresh-scenes\"]\n[[cells]]\nname = \"a\"\n[[cells]]\nname = \"b\"\n\
     intervention.method = \"ema\"\npreset = \"fresh-strokes\"\n",
    "preset = \"fresh-mnist\"\nseeds = [4294967295]\n[[cells]]\nname = \"x\"\n\"optimizer.batch\" = 1\n",
];

/// What people write where something else belongs.
const WORDS: [&str; 16] = [
    "[]",
    "[[cells]]",
    "[set]",
    "[grid]",
    "-1",
    "1e999",
    "nan",
    "\"\"",
    "\"..\"",
    "{}",
    "[[1], 2]",
    "true",
    "\"a\\nb\"",
    "9223372036854775807",
    "\"intervention.method\" = [\"ema\", \"l2+ema\"]",
    "seeds = [1, 1]",
];

#[test]
fn fuzz_sweeps() {
    let mut mutator = Mutator::new(1);
    let mut bound = Bound::new("sweep", 256, 1 << 20);
    let mut good = 0;
    for _ in 0..rounds() {
        let text = mutator.text(&SWEEPS, &WORDS);
        if let Ok(sweep) = bound.hold(text.len(), || Sweep::parse("fuzz", &text)) {
            // A grid of very many points is a wish, not a fault: its runs take the memory of so many configs.
            good += u64::from(sweep.count() < 100 && sweep.runs(&[], &[]).is_ok());
        }
    }
    println!("{bound}");
    assert!(good > rounds() / 100, "most inputs should be near enough to be read in part: {good}");
}

/// What would take the square of a file's length, or a stack as deep as a key is long.
#[test]
fn long_names_take_no_more_than_their_length() {
    let head = "preset = \"fresh-strokes\"\n";
    let keys: String = (0..5_000).map(|key| format!("a{key} = 1\n")).collect();
    let (section, parts) = ("x".repeat(20_000), "x.".repeat(100_000));
    let mut bound = Bound::new("long names", 512, 1 << 20);
    for text in [
        format!("{head}[set.{section}]\n{keys}"),
        format!("{head}[set]\n\"{parts}x\" = 1\n"),
        format!("{head}[grid]\n\"{parts}x\" = [1]\n"),
        format!("{head}[[cells]]\nname = \"a\"\n[cells.{section}]\n{keys}"),
    ] {
        let outcome = bound.hold(text.len(), || Sweep::parse("long", &text)?.runs(&[], &[]));
        assert!(outcome.unwrap_err().to_string().contains("no key"));
    }
    let set = format!("{parts}x=1");
    let outcome = bound.hold(set.len(), || Config::resolve(&[parse_set(&set).unwrap()]));
    assert!(outcome.unwrap_err().to_string().contains("no key"));
}

fn config() -> Config {
    Config::resolve(&[parse_set("data.set=strokes").unwrap()]).unwrap()
}

#[test]
fn fuzz_run_folders() {
    let config = config();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join(&config.name).join(config.run_id());
    std::fs::create_dir_all(&folder).unwrap();
    let result =
        "{\n  \"test_accuracy\": 0.5,\n  \"data_digest\": \"00ff\",\n  \"segments\": []\n}\n".to_string();
    let files = [
        ("config.toml", config.to_toml()),
        ("result.json", result),
        ("failed.json", "{\n  \"error\": \"a word\"\n}\n".to_string()),
    ];
    let mut mutator = Mutator::new(2);
    let mut bound = Bound::new("config and result of a run", 256, 1 << 20);
    let mut readable = 0;
    for round in 0..rounds() {
        let (name, good) = &files[round as usize % files.len()];
        let path = folder.join(name);
        let bytes = mutator.bytes(&[good.clone().into_bytes()]);
        std::fs::write(&path, &bytes).unwrap();
        readable += u64::from(bound.hold(bytes.len(), || lifecycle::look(&config, place.path())).is_ok());
        std::fs::remove_file(&path).unwrap();
    }
    println!("{bound}");
    assert!(readable < rounds(), "some inputs are refused");
}

#[test]
fn fuzz_records_of_sweeps() {
    let runs = |text: &str| Sweep::parse("fuzz", text).unwrap().runs(&[], &[]).unwrap();
    let place = tempfile::tempdir().unwrap();
    let record = |text: &str| Record::new(&runs(text));
    record(SWEEPS[0]).keep(place.path()).unwrap();
    let path = std::fs::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&path).unwrap();
    // Many keys that all of many cells share.
    let numbered =
        |prefix: &str, end: &str| (0..100).map(|n| format!("{prefix}{n}{end}\n")).collect::<String>();
    let (common, cells) = (numbered("a", " = 1"), numbered("[cells.a", "]"));
    let many = format!("seeds = [1]\n[common]\n{common}{cells}");
    let folder = tempfile::tempdir().unwrap();
    let mine = record(SWEEPS[0]);
    let mut mutator = Mutator::new(3);
    let mut bound = Bound::new("record of a sweep", 256, 1 << 20);
    for _ in 0..rounds() {
        let bytes = mutator.bytes(&[good.clone(), many.clone().into_bytes()]);
        std::fs::write(folder.path().join("sweep-other.toml"), &bytes).unwrap();
        // Refused, named as no record, or read: never a panic, and what lies there stays.
        drop(bound.hold(bytes.len() + good.len(), || mine.clone().keep(folder.path())));
        assert!(Path::new(&folder.path().join("sweep-other.toml")).exists());
    }
    println!("{bound}");
}
