//! Run folders with damaged files: never a panic, never a report without the runs that are whole.
//!
//! `HT_FUZZ=200000 cargo test --release -p report --test fuzz` damages so many of each file; a failure names its number,
//! which gives the same files again.

#[path = "../../tests/common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
#[path = "../../tests/common/mutate.rs"]
#[allow(dead_code, unreachable_pub)]
mod mutate;

use allocations::Bound;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use report::{Error, Family, Method, report};
use std::path::Path;
use std::time::{Duration, Instant};

const METHODS: [Method; 2] = [
    Method { name: "ema", short: "EMA", family: Family::Averaging },
    Method { name: "l2", short: "L2", family: Family::Generalisation },
];

const FILES: [&str; 4] = ["config.toml", "metrics.jsonl", "result.json", "failed.json"];

/// What breaks parsers and arithmetic.
const TOKENS: [&str; 34] = [
    "\0",
    "\n",
    "\r\n",
    "\"",
    "\\",
    "\\u0000",
    "\u{1b}[2J",
    "é",
    "\u{feff}",
    "{",
    "}",
    "[",
    "]",
    "[[x]]",
    "=",
    ",",
    ":",
    "null",
    "true",
    "nan",
    "-inf",
    "0",
    "-1",
    "1e999",
    "-1e308",
    "1e308",
    "5e-324",
    "9223372036854775807",
    "18446744073709551615",
    "a.b.c.d",
    "[[[[[[[[",
    "0.1",
    "''",
    "1979-05-27",
];

/// Names and values of keys that decide what a report shows.
const VALUES: [&str; 22] = [
    "[1.0]",
    "[0.1, 0.9]",
    "[1e300, -1e300]",
    "[0.2, 0.3, 0.5]",
    "[nan, 0.0]",
    "[0.5, 0.0]",
    "[]",
    "[[1]]",
    "{a = 1}",
    "\"\"",
    "\"ema+l2+ema\"",
    "\"none\"",
    "\"\\u0001<>&\\n|`\"",
    "\"crelu\"",
    "true",
    "0",
    "-5",
    "1e-320",
    "1e308",
    "inf",
    "2",
    "1",
];

/// Whole files of a run: its version, protocol, method and seed follow from a number.
fn whole(rng: &mut Pcg64Mcg, seed: usize) -> [String; 4] {
    let pick = |rng: &mut Pcg64Mcg, choices: &[&'static str]| choices[rng.random_range(0..choices.len())];
    let phases = pick(
        rng,
        &[
            "ratios = [1.0]\nnoise = [0.0]",
            "ratios = [0.1, 0.9]\nnoise = [0.5, 0.0]",
            "ratios = [0.2, 0.8]\nnoise = [0.5, 0.0]",
            "ratios = [1.0, 0.0]\nnoise = [0.3, 0.0]",
            "ratios = [0.3, 0.3, 0.4]\nnoise = [0.0, 0.0, 0.0]\nbuffer = 50",
        ],
    );
    let intervention = pick(
        rng,
        &[
            "method = \"none\"\nmomentum = 0.9",
            "method = \"l2 + ema\"\nmomentum = 0.9\nweight_decay = 0.1",
            "method = \"l2\"\nweight_decay = 0.2",
            "method = \"new\"",
        ],
    );
    let version = pick(rng, &["", "", "version = 2\n"]);
    let lr = pick(rng, &["0.001", "0.01", "1e-8"]);
    let config = format!(
        "name = \"fuzz\"\nseed = {seed}\nfidelity = \"code\"\n{version}[data]\nset = \"mnist\"\ntrain = 0\naugment = false\n\
         [model]\nname = \"mlp\"\nhidden = [10, 5]\n[optimizer]\nlr = {lr}\nbeta1 = 0.9\n[protocol]\nbase_epochs = 100\n\
         {phases}\n[intervention]\n{intervention}\n[run]\ncheckpoint_seconds = 30.0\n"
    );
    let mut metrics = String::new();
    let mut step = 0;
    for phase in 0..phases.split(']').next().unwrap().split(',').count() {
        for _ in 0..3 {
            let accuracy = rng.random_range(0.0..1.0);
            let at = format!("\"step\":{step},\"epoch\":{step},\"phase\":{phase}");
            metrics += &format!("{{{at},\"train_loss\":0.5,\"train_accuracy\":0.8}}\n");
            metrics +=
                &format!("{{{at},\"test_loss\":0.4,\"test_accuracy\":{accuracy:.3},\"srank\":{step}}}\n");
            step += 10;
        }
    }
    let accuracy = rng.random_range(0.0..1.0);
    let result = format!(
        "{{\"test_accuracy\":{accuracy:.3},\"test_loss\":0.1,\"train_accuracy\":0.99,\"seconds\":1.5,\"device\":\"cpu\",\
         \"git_revision\":\"abc\",\"data_digest\":\"0123\",\"data_origin\":\"built in\",\"segments\":[{{\"device\":\"cpu\",\
         \"instruction_set\":\"avx2\",\"revision\":null,\"dirty\":true,\"from_step\":0,\"to_step\":9}}]}}\n"
    );
    [config, metrics, result, "{\"error\": \"out of memory\"}\n".to_string()]
}

/// A few changes of bytes, lines and values.
fn mutate(rng: &mut Pcg64Mcg, content: &str) -> Vec<u8> {
    let mut bytes = content.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] = rng.random(),
            1 => bytes.truncate(at),
            2 => {
                let token = TOKENS[rng.random_range(0..TOKENS.len())].as_bytes();
                bytes.splice(at..at, token.iter().copied());
            }
            3 => {
                let end = (at + rng.random_range(0..40)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + rng.random_range(0..200)).min(bytes.len());
                let copy = bytes[at..end].repeat(rng.random_range(1..4));
                bytes.splice(at..at, copy);
            }
            // A whole value is replaced, which leaves the file well formed more often than not.
            5 | 6 => {
                let starts: Vec<usize> = (0..bytes.len()).filter(|&i| b"=:".contains(&bytes[i])).collect();
                if let Some(&start) = starts.get(rng.random_range(0..starts.len().max(1))) {
                    let end = bytes[start..].iter().position(|byte| b",}\n".contains(byte));
                    let end = start + end.unwrap_or(bytes.len() - start);
                    let values: &[&str] = if rng.random() { &VALUES } else { &TOKENS };
                    let value = values[rng.random_range(0..values.len())].as_bytes();
                    bytes.splice(start + 1..end, value.iter().copied());
                }
            }
            _ => {
                let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
                if lines.len() > 1 {
                    let (a, b) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
                    lines.swap(a, b);
                }
                bytes = lines.concat();
            }
        }
    }
    bytes
}

/// Making pages takes many times as long as reading runs, so only one folder in so many gets its pages.
const PAGES_EVERY: u64 = 20;

/// Fresh runs of this number, some whole, some damaged: how many bytes they have. Counts what it damages of each file.
fn write(rng: &mut Pcg64Mcg, root: &Path, counts: &mut [u64; 4]) -> usize {
    let mut length = 0;
    for run in 0..rng.random_range(2..6) {
        let folder = root.join(run.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let files = whole(rng, run);
        let damaged = (run > 0).then(|| rng.random_range(0..FILES.len()));
        let finished = rng.random_bool(0.8);
        for (index, (name, content)) in FILES.iter().zip(&files).enumerate() {
            let bytes = if damaged == Some(index) {
                counts[index] += 1;
                mutate(rng, content)
            } else if index < 2 || run == 0 && index == 2 || run > 0 && finished == (index == 2) {
                content.clone().into_bytes()
            } else {
                continue;
            };
            std::fs::write(folder.join(name), &bytes).unwrap();
            length += bytes.len();
        }
    }
    length
}

#[test]
fn fuzz_damaged_run_folders_are_reported() {
    let tries = mutate::rounds();
    let root = tempfile::tempdir().unwrap();
    let (runs, out) = (root.path().join("runs"), root.path().join("out"));
    // A value of TOML or JSON has two bytes or more in its file, and a few dozen as a token and in a table that grows by
    // doubling. Pages and figures of the smallest report take a quarter of a mebibyte.
    let mut bound = Bound::new("run folders of a report", 256, 1 << 18);
    let (mut left_out, mut damaged, mut number) = (0, [0; 4], 0);
    while damaged.iter().any(|count| *count < tries) {
        let mut rng = Pcg64Mcg::seed_from_u64(number);
        let length = write(&mut rng, &runs, &mut damaged);
        let pages = number.is_multiple_of(PAGES_EVERY).then_some(out.as_path());
        let start = Instant::now();
        let make = || std::panic::catch_unwind(|| report(std::slice::from_ref(&runs), pages, &METHODS));
        let made = match bound.hold(length, make) {
            Ok(Ok(made)) => made,
            Ok(Err(error @ Error::Unwritable { .. })) => panic!("number {number}: {error}"),
            Ok(Err(error)) => panic!("number {number}: the whole run was not found: {error}"),
            Err(_) => panic!("number {number}: a panic, see above"),
        };
        assert!(start.elapsed() < Duration::from_secs(20), "number {number}: it took {:?}", start.elapsed());
        left_out += made.not_read.len();
        for file in &made.files {
            let text = std::fs::read_to_string(file).unwrap();
            // Small files make small reports, and a drawing has no number that is none.
            assert!(text.len() < 4 << 20, "number {number}: {} has {} bytes", file.display(), text.len());
            let is_drawing = file.extension().is_some_and(|extension| extension == "svg");
            assert!(!is_drawing || !text.contains("=\"NaN"), "number {number}: {}", file.display());
        }
        std::fs::remove_dir_all(&runs).unwrap();
        if pages.is_some() {
            std::fs::remove_dir_all(&out).unwrap();
        }
        number += 1;
    }
    assert!(left_out as u64 > tries, "the damage is too small: {left_out} items were not read");
    println!("{bound}; damaged were {damaged:?} of {FILES:?}");
}
