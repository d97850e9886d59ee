//! Finds run folders and reads them.

use super::Error;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One run folder.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) folder: PathBuf,
    pub(crate) experiment: String,
    pub(crate) seed: i64,
    pub(crate) config: toml::Table,
    /// By phase and step; where a step was written twice, as after a resume, the later line.
    pub(crate) evaluations: BTreeMap<(u64, u64), Evaluation>,
    /// The last step written of each phase.
    pub(crate) phase_ends: BTreeMap<u64, u64>,
    /// Step and epoch of the furthest line.
    pub(crate) reached: Option<(u64, f64)>,
    /// The final figures; `None` while the run is unfinished.
    pub(crate) result: Option<RunResult>,
}

/// What is shown of an evaluation; accuracies are fractions.
#[derive(Clone, Debug)]
pub(crate) struct Evaluation {
    pub(crate) epoch: f64,
    pub(crate) test_accuracy: f64,
    pub(crate) hare_test_accuracy: Option<f64>,
    pub(crate) tortoise_test_accuracy: Option<f64>,
    /// Indicators of plasticity: every other number logged.
    pub(crate) indicators: BTreeMap<String, f64>,
}

/// Other numbers of an evaluation that are no indicators.
const NO_INDICATORS: [&str; 5] = ["test_", "hare_", "tortoise_", "train_", "dormant_"];

/// What is shown of `result.json`. A figure may be missing, or null where it was not a number.
#[derive(Debug, Deserialize)]
pub(crate) struct RunResult {
    pub(crate) test_accuracy: Option<f64>,
    pub(crate) test_loss: Option<f64>,
    pub(crate) train_accuracy: Option<f64>,
    pub(crate) seconds: Option<f64>,
    pub(crate) device: Option<String>,
    pub(crate) git_revision: Option<String>,
}

/// A line of `metrics.jsonl`, of training or of an evaluation.
#[derive(Deserialize)]
struct Line {
    step: u64,
    epoch: f64,
    phase: u64,
    test_accuracy: Option<f64>,
    hare_test_accuracy: Option<f64>,
    tortoise_test_accuracy: Option<f64>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

/// Reads every run at or below `paths`, each once, in the order of the paths and by name below them.
pub(crate) fn read_runs(paths: &[PathBuf]) -> Result<Vec<Run>, Error> {
    let mut seen = BTreeSet::new();
    let mut folders = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(unreadable(path))?;
        if !metadata.is_dir() {
            return Err(Error::NotAFolder { path: path.clone() });
        }
        find(path, &mut seen, &mut folders)?;
    }
    if folders.is_empty() {
        return Err(Error::NoRuns { looked: paths.to_vec() });
    }
    folders.into_iter().map(read_run).collect()
}

/// Links to folders are followed, so real paths are remembered: no loop is walked and no run read twice.
fn find(folder: &Path, seen: &mut BTreeSet<PathBuf>, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    if !seen.insert(folder.canonicalize().map_err(unreadable(folder))?) {
        return Ok(());
    }
    if folder.join("config.toml").is_file() {
        found.push(folder.to_path_buf());
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).map_err(unreadable(folder))?;
    let mut below = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable(folder))?;
        // Hidden folders hold the files of other tools, some of them named config.toml.
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.path().is_dir() {
            below.push(entry.path());
        }
    }
    below.sort();
    below.iter().try_for_each(|folder| find(folder, seen, found))
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |source| Error::Unreadable { path: path.clone(), source }
}

fn read_run(folder: PathBuf) -> Result<Run, Error> {
    let path = folder.join("config.toml");
    let broken = |reason: String| Error::BrokenConfig { path: path.clone(), reason };
    let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
    let config: toml::Table =
        toml::from_str(&text).map_err(|error| broken(error.to_string().trim_end().to_string()))?;
    let experiment = config.get("name").and_then(toml::Value::as_str);
    let experiment = experiment.ok_or_else(|| broken("no text under `name`".to_string()))?.to_string();
    let seed = config.get("seed").and_then(toml::Value::as_integer);
    let seed = seed.ok_or_else(|| broken("no whole number under `seed`".to_string()))?;

    let mut run = Run {
        experiment,
        seed,
        config,
        evaluations: BTreeMap::new(),
        phase_ends: BTreeMap::new(),
        reached: None,
        result: read_result(&folder.join("result.json"))?,
        folder,
    };
    run.read_metrics()?;
    Ok(run)
}

/// `None` if there is no such file.
fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path)(error)),
    }
}

fn read_result(path: &Path) -> Result<Option<RunResult>, Error> {
    let Some(bytes) = read_if_present(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::BrokenLine {
        path: path.to_path_buf(),
        line: error.line().max(1),
        reason: error.to_string(),
    })
}

impl Run {
    /// A last line without its newline that cannot be read is a line being written, and left out.
    fn read_metrics(&mut self) -> Result<(), Error> {
        let path = self.folder.join("metrics.jsonl");
        let Some(bytes) = read_if_present(&path)? else { return Ok(()) };
        let mut lines = bytes.split(|&byte| byte == b'\n').enumerate().peekable();
        while let Some((index, bytes)) = lines.next() {
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Line>(bytes) {
                Ok(line) => self.add(line),
                Err(_) if lines.peek().is_none() => {}
                Err(error) => {
                    // serde counts lines within the one line it was given: only its column means anything
                    // here.
                    let reason = error.to_string().replace("line 1 column", "column");
                    return Err(Error::BrokenLine { path, line: index + 1, reason });
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, line: Line) {
        let end = self.phase_ends.entry(line.phase).or_insert(line.step);
        *end = line.step.max(*end);
        if self.reached.is_none_or(|(step, _)| step <= line.step) {
            self.reached = Some((line.step, line.epoch));
        }
        if let Some(test_accuracy) = line.test_accuracy {
            let mut indicators = BTreeMap::new();
            for (key, value) in line.others {
                let known = NO_INDICATORS.iter().any(|prefix| key.starts_with(prefix));
                if let (Some(value), false) = (value.as_f64(), known) {
                    indicators.insert(key, value);
                }
            }
            let evaluation = Evaluation {
                epoch: line.epoch,
                test_accuracy,
                hare_test_accuracy: line.hare_test_accuracy,
                tortoise_test_accuracy: line.tortoise_test_accuracy,
                indicators,
            };
            self.evaluations.insert((line.phase, line.step), evaluation);
        }
    }

    /// The steps at which one phase ended and the next began.
    pub(crate) fn phase_boundaries(&self) -> impl Iterator<Item = u64> {
        let last = self.phase_ends.keys().next_back().copied();
        self.phase_ends.iter().filter(move |(phase, _)| Some(**phase) != last).map(|(_, step)| *step)
    }
}
