//! Reads a run folder.

use super::{legacy, result::RunResult};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// One run folder.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) folder: PathBuf,
    pub(crate) experiment: String,
    pub(crate) seed: i64,
    /// In the form of today, see [`legacy`].
    pub(crate) config: toml::Table,
    /// By phase and step; where a step was written twice, as after a resume, the later line.
    pub(crate) evaluations: BTreeMap<(u64, u64), Evaluation>,
    /// Of an agent, by step.
    pub(crate) rewards: BTreeMap<u64, Reward>,
    /// By step.
    pub(crate) probes: BTreeMap<u64, Probe>,
    /// Of an agent, by number of updates: what its network looked like, and that of a random walk beside it.
    pub(crate) looks: BTreeMap<u64, BTreeMap<String, Look>>,
    /// The last step written of each phase.
    pub(crate) phase_ends: BTreeMap<u64, u64>,
    /// Step of the furthest line, and of a classifier its epoch.
    pub(crate) reached: Option<(u64, Option<f64>)>,
    /// The final figures; `None` while the run is unfinished.
    pub(crate) result: Option<RunResult>,
    /// Why the run failed; `None` if it did not, or has a result since.
    pub(crate) failure: Option<String>,
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

/// What is shown of a line of an agent.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Reward {
    /// Mean over the steps since the line before.
    pub(crate) reward_per_step: f64,
    /// The same as a share of what the best agent gets.
    pub(crate) share_of_best: Option<f64>,
    pub(crate) mean_max_q: Option<f64>,
    pub(crate) td_loss: Option<f64>,
}

/// What is shown of a probe of an agent.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Probe {
    /// What the network learnt of the random functions.
    pub(crate) plasticity: f64,
    /// Mean squared error of batches, every 50 training steps.
    pub(crate) curve: Vec<f64>,
    pub(crate) weight_norm: Option<f64>,
    pub(crate) weight_rank: Option<f64>,
    pub(crate) feature_rank: Option<f64>,
    pub(crate) dead_units: Option<f64>,
    /// Networks of first weights on the same inputs.
    #[serde(default)]
    pub(crate) fresh: Vec<Fresh>,
}

/// What a network of first weights learnt.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Fresh {
    pub(crate) plasticity: f64,
    pub(crate) curve: Vec<f64>,
}

/// The curvature of a network.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Look {
    pub(crate) hessian_largest: f64,
    pub(crate) hessian_smallest: f64,
    pub(crate) mean_cosine: f64,
    pub(crate) negative_share: f64,
    /// From the first weights.
    pub(crate) distance: f64,
    pub(crate) density: Density,
    /// Sizes of the clusters of the gradients, in the order of the cells.
    pub(crate) clusters: Vec<usize>,
    /// Cosines between gradients in percent, means over squares of the matrix, row by row.
    pub(crate) cells: Vec<i16>,
}

/// The density of a spectrum at points in equal distances.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Density {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) values: Vec<f64>,
}

/// Why a folder with a `config.toml` gave no run.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The config is not that of a run, and no other file of a run lies beside it.
    Foreign(String),
    /// A file of a run is not what it should be.
    Broken { path: PathBuf, reason: String },
}

/// Other numbers of an evaluation that are no indicators.
const NO_INDICATORS: [&str; 7] =
    ["test_", "hare_", "tortoise_", "train_", "dormant_", "learning_rate", "resets"];

/// Files that say that a folder was a run's, even if its config is lost.
pub(crate) const RESULTS: [&str; 2] = ["metrics.jsonl", "result.json"];

/// What only runs leave beside their config.
const FILES: [&str; 4] = ["metrics.jsonl", "result.json", "failed.json", "checkpoint.safetensors"];

/// A line of `metrics.jsonl`, of training or of an evaluation.
#[derive(Deserialize)]
struct Line {
    step: u64,
    /// Of a classifier.
    epoch: Option<f64>,
    phase: Option<u64>,
    /// Of an agent.
    reward_per_step: Option<f64>,
    /// Of an agent.
    probe: Option<Probe>,
    /// Of an agent.
    curvature: Option<BTreeMap<String, Look>>,
    /// Of an agent.
    updates: Option<u64>,
    test_accuracy: Option<f64>,
    hare_test_accuracy: Option<f64>,
    tortoise_test_accuracy: Option<f64>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

/// `failed.json`.
#[derive(Deserialize)]
struct Failure {
    error: String,
}

fn broken(path: &Path, reason: impl ToString) -> Unread {
    Unread::Broken { path: path.to_path_buf(), reason: reason.to_string() }
}

/// The bytes of a file; `None` if there is none. A pipe would block for ever.
fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, Unread> {
    let bytes = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => std::fs::read(path),
        Ok(_) => return Err(broken(path, "not a regular file")),
        Err(error) => Err(error),
    };
    match bytes {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(broken(path, error)),
    }
}

/// A file with one JSON object.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Unread> {
    let Some(bytes) = read_if_present(path)? else { return Ok(None) };
    if bytes.trim_ascii().is_empty() {
        return Err(broken(path, "the file is empty"));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let key = wrong_key::<T>(&bytes).map(|key| format!("{key}: ")).unwrap_or_default();
        broken(path, key + &json_reason(&bytes, &error))
    })
}

/// The key whose value is none of a `T` by itself: what reads JSON says only what it found.
fn wrong_key<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<String> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes).ok()?;
    let is_wrong = |(key, value): &(String, serde_json::Value)| {
        let alone = serde_json::Map::from_iter([(key.clone(), value.clone())]);
        let error = serde_json::from_value::<T>(alone.into()).err();
        // A value of the wrong kind, not one that is missing.
        error.is_some_and(|error| error.is_data() && error.to_string().starts_with("invalid "))
    };
    object.into_iter().find(is_wrong).map(|(key, _)| key)
}

/// What is wrong with bytes that are not the JSON expected.
fn json_reason(bytes: &[u8], error: &serde_json::Error) -> String {
    match bytes.contains(&0) {
        true => "zero bytes, as a file system may leave after a crash".to_string(),
        false => error.to_string(),
    }
}

/// The config with its experiment and seed, or why it is not that of a run.
fn read_config(bytes: Vec<u8>) -> Result<(toml::Table, String, i64), String> {
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text")?;
    let config: toml::Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        format!("not TOML{line}: {}", error.message())
    })?;
    let experiment = config.get("name").and_then(toml::Value::as_str).ok_or("no text under `name`")?;
    let seed = config.get("seed").and_then(toml::Value::as_integer).ok_or("no whole number under `seed`")?;
    let is_section = |name: &str| config.get(name).is_some_and(toml::Value::is_table);
    if !is_section("model") {
        return Err("no section [model]".into());
    }
    if !is_section("data") && !is_section("environment") {
        return Err("no section [data] of a classifier, nor [environment] of an agent".into());
    }
    let experiment = experiment.to_string();
    Ok((config, experiment, seed))
}

impl Run {
    /// Reads a folder that has a `config.toml`.
    pub(crate) fn read(folder: &Path) -> Result<Run, Unread> {
        let path = folder.join("config.toml");
        let bytes = read_if_present(&path)?.ok_or_else(|| broken(&path, "it is gone"))?;
        let (config, experiment, seed) = read_config(bytes).map_err(|reason| {
            match FILES.iter().any(|file| folder.join(file).exists()) {
                true => broken(&path, format!("not the config of a run: {reason}")),
                false => Unread::Foreign(reason),
            }
        })?;
        let result: Option<RunResult> = read_json(&folder.join("result.json"))?;
        let failure = match result {
            Some(_) => None,
            None => read_json::<Failure>(&folder.join("failed.json"))?.map(|failure| failure.error),
        };
        let mut run = Run {
            folder: folder.to_path_buf(),
            experiment,
            seed,
            config: legacy::upgrade(&config),
            evaluations: BTreeMap::new(),
            rewards: BTreeMap::new(),
            probes: BTreeMap::new(),
            looks: BTreeMap::new(),
            phase_ends: BTreeMap::new(),
            reached: None,
            result,
            failure,
        };
        run.read_metrics()?;
        Ok(run)
    }

    /// A last line without its newline that cannot be read is a line being written, and left out.
    fn read_metrics(&mut self) -> Result<(), Unread> {
        let path = self.folder.join("metrics.jsonl");
        let Some(bytes) = read_if_present(&path)? else { return Ok(()) };
        let mut lines = bytes.split(|&byte| byte == b'\n').enumerate().peekable();
        while let Some((index, bytes)) = lines.next() {
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Line>(bytes) {
                Ok(line) => match Self::lacks(&line) {
                    None => self.add(line),
                    Some(reason) => return Err(broken(&path, format!("line {}: {reason}", index + 1))),
                },
                Err(_) if lines.peek().is_none() => {}
                Err(error) => {
                    // serde counts lines within the one line it was given: only its column means anything here.
                    let reason = json_reason(bytes, &error).replace("line 1 column", "column");
                    return Err(broken(&path, format!("line {}: {reason}", index + 1)));
                }
            }
        }
        Ok(())
    }

    /// Why a line cannot be one: those of classifiers have a phase and an epoch.
    fn lacks(line: &Line) -> Option<&'static str> {
        let of_agent = line.reward_per_step.is_some() || line.probe.is_some() || line.curvature.is_some();
        if (line.probe.is_some() || line.curvature.is_some()) && line.updates.is_none() {
            return Some("missing field `updates`");
        }
        match (of_agent, line.phase, line.epoch) {
            (false, None, _) => Some("missing field `phase`"),
            (false, _, None) => Some("missing field `epoch`"),
            _ => None,
        }
    }

    fn add(&mut self, line: Line) {
        if self.reached.is_none_or(|(step, _)| step <= line.step) {
            self.reached = Some((line.step, line.epoch));
        }
        if let Some(probe) = line.probe {
            self.probes.insert(line.step, probe);
            return;
        }
        if let (Some(looks), Some(updates)) = (line.curvature, line.updates) {
            self.looks.insert(updates, looks);
            return;
        }
        if let Some(reward_per_step) = line.reward_per_step {
            let number = |key: &str| line.others.get(key).and_then(serde_json::Value::as_f64);
            let (share_of_best, mean_max_q) = (number("share_of_best"), number("mean_max_q"));
            let reward = Reward { reward_per_step, share_of_best, mean_max_q, td_loss: number("td_loss") };
            self.rewards.insert(line.step, reward);
            return;
        }
        let phase = line.phase.unwrap_or_default();
        let end = self.phase_ends.entry(phase).or_insert(line.step);
        *end = line.step.max(*end);
        if let Some(test_accuracy) = line.test_accuracy {
            let mut indicators = BTreeMap::new();
            for (key, value) in line.others {
                let known = NO_INDICATORS.iter().any(|prefix| key.starts_with(prefix));
                if let (Some(value), false) = (value.as_f64(), known) {
                    indicators.insert(key, value);
                }
            }
            let evaluation = Evaluation {
                epoch: line.epoch.unwrap_or_default(),
                test_accuracy,
                hare_test_accuracy: line.hare_test_accuracy,
                tortoise_test_accuracy: line.tortoise_test_accuracy,
                indicators,
            };
            self.evaluations.insert((phase, line.step), evaluation);
        }
    }

    /// The steps at which one phase ended and the next began.
    pub(crate) fn phase_boundaries(&self) -> impl Iterator<Item = u64> {
        let last = self.phase_ends.keys().next_back().copied();
        self.phase_ends.iter().filter(move |(phase, _)| Some(**phase) != last).map(|(_, step)| *step)
    }

    /// The version of what the config means, in words.
    pub(crate) fn version(&self) -> String {
        self.config.get("version").map(super::settings::show).unwrap_or_default()
    }
}
