//! Reports on small run folders, with the figures computed by hand.

mod curvature;
mod damaged;
mod memorisation;
mod paper;
mod results;
mod versions;

use approx::assert_abs_diff_eq;
use report::{Error, Family, Method, Report};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const METHODS: [Method; 6] = [
    Method { name: "hare-tortoise", short: "H&T", family: Family::Averaging },
    Method { name: "ema", short: "EMA", family: Family::Averaging },
    Method { name: "shrink-perturb", short: "SnP", family: Family::Reinitialisation },
    Method { name: "l2", short: "L2", family: Family::Generalisation },
    Method { name: "regen", short: "Regen", family: Family::Trainability },
    Method { name: "redo", short: "ReDo", family: Family::Trainability },
];

fn report(paths: &[PathBuf], out: Option<&Path>) -> Result<Report, Error> {
    report::report(paths, out, &METHODS)
}

/// A run folder to be written.
struct RunFolder {
    experiment: &'static str,
    id: &'static str,
    seed: u64,
    intervention: &'static str,
    /// Further sections of the config.
    sections: String,
    metrics: String,
    result: Option<&'static str>,
}

impl RunFolder {
    fn new(experiment: &'static str, id: &'static str, seed: u64) -> RunFolder {
        let intervention = "method = \"none\"";
        let metrics = metrics(&[(0, 0, 0, 0.1), (10, 1, 0, 0.9)]);
        RunFolder { experiment, id, seed, intervention, sections: String::new(), metrics, result: None }
    }

    fn write(&self, root: &Path) -> PathBuf {
        let folder = root.join(self.experiment).join(self.id);
        std::fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "name = \"{}\"\nseed = {}\nfidelity = \"paper\"\n[data]\nset = \"mnist\"\n\
             [model]\nname = \"mlp\"\nhidden = [512, 256]\n[optimizer]\nlearning_rate = 0.001\n\
             [intervention]\n{}\n{}",
            self.experiment, self.seed, self.intervention, self.sections
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
    assert_abs_diff_eq!(value, expected, epsilon = 1e-9);
}

/// Left, right, top and bottom of each text of a figure, and the text. The widths are a little less than those of common
/// fonts.
fn boxes(svg: &str) -> Vec<([f64; 4], String)> {
    let parse = |part: &str| {
        let (attributes, rest) = part.split_once('>').unwrap();
        let value = |name: &str| {
            let (_, rest) = attributes.split_once(&format!(" {name}=\""))?;
            Some(rest.split_once('"')?.0)
        };
        let number = |name: &str| value(name).unwrap().parse::<f64>().unwrap();
        let text = rest.split_once("</text>").unwrap().0.replace("&amp;", "&");
        let (x, y, size) = (number("x"), number("y"), number("font-size"));
        let width = text.chars().count() as f64 * size * 0.5;
        let start = match value("text-anchor").unwrap() {
            "start" => 0.0,
            "middle" => -width / 2.0,
            _ => -width,
        };
        let (along, across) = ([start, start + width], [-size / 2.0, size / 2.0]);
        let edges = match value("transform") {
            // Read upwards.
            Some(_) => [x + across[0], x + across[1], y - along[1], y - along[0]],
            None => [x + along[0], x + along[1], y + across[0], y + across[1]],
        };
        (edges, text)
    };
    svg.split("<text").skip(1).map(parse).collect()
}

/// All texts lie within the figure, and none on another.
#[track_caller]
fn texts_are_apart(name: &str, svg: &str) {
    let (_, view) = svg.split_once("viewBox=\"0 0 ").unwrap();
    let view: Vec<f64> =
        view.split_once('"').unwrap().0.split(' ').map(|number| number.parse().unwrap()).collect();
    let boxes = boxes(svg);
    assert!(boxes.len() > 5, "{name}");
    for (index, (a, text)) in boxes.iter().enumerate() {
        assert!(
            a[0] >= 0.0 && a[1] <= view[0] && a[2] >= 0.0 && a[3] <= view[1],
            "{name}: {text:?} at {a:?}"
        );
        for (b, other) in &boxes[..index] {
            let apart = a[1] <= b[0] || b[1] <= a[0] || a[3] <= b[2] || b[3] <= a[2];
            assert!(apart, "{name}: {text:?} on {other:?}");
        }
    }
}
