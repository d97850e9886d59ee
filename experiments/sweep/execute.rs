//! Runs the runs of a sweep, several at once.

use super::SweepRun;
use crate::config::Config;
use crate::data_set;
use crate::error::{Error, Result};
use crate::protocols::phases::{self, Context, Outcome, Status};
use crate::run_folder::RunFolder;
use crate::schedule::lengths;
use data::DataSet;
use engine::Device;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How far a run is, by its folder.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It has its result.
    Finished,
    /// It failed with this message.
    Failed(String),
    /// It has a checkpoint.
    Begun,
    /// Nothing of it is there.
    New,
}

/// What happens to a run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// It began, or goes on.
    Started,
    /// It is this far.
    Step(&'a Status),
    /// It has its result.
    Finished(&'a serde_json::Map<String, Value>),
    /// It failed with this message.
    Failed(&'a str),
    /// It was asked to stop and saved a checkpoint.
    Stopped,
}

/// How far a run is.
///
/// # Errors
/// A file in its folder that cannot be read.
pub fn state(config: &Config, out: &Path) -> Result<State> {
    let folder = RunFolder::path_of(config, out);
    if RunFolder::result(&folder)?.is_some() {
        return Ok(State::Finished);
    }
    let path = folder.join("failed.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            return Ok(State::Failed(value["error"].as_str().unwrap_or("an error that was not kept").into()));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Io { action: "read", path, source }),
    }
    let begun = folder.join("checkpoint.safetensors").exists();
    Ok(if begun { State::Begun } else { State::New })
}

/// The data sets of a sweep, each loaded once.
#[derive(Debug)]
pub struct DataSets {
    sets: BTreeMap<String, DataSet>,
}

impl DataSets {
    /// Loads what the runs need, and refuses runs that do not fit their data before anything runs.
    ///
    /// # Errors
    /// A set that is not there; a run that does not fit it.
    pub fn load(runs: &[&SweepRun], dir: &Path) -> Result<Self> {
        let mut sets = BTreeMap::new();
        for run in runs {
            let key = Self::key(&run.config);
            if !sets.contains_key(&key) {
                sets.insert(key.clone(), data_set::load(&run.config, dir)?);
            }
            let named = |error: Error| match error {
                Error::Mismatch(message) => Error::Mismatch(format!("the cell '{}': {message}", run.cell)),
                other => other,
            };
            data_set::check(&run.config, &sets[&key]).map_err(named)?;
            lengths(&run.config, sets[&key].train.len()).map_err(named)?;
        }
        Ok(Self { sets })
    }

    /// The set of a run that was there at [`DataSets::load`].
    ///
    /// # Panics
    /// If it was not.
    pub fn of(&self, config: &Config) -> &DataSet {
        &self.sets[&Self::key(config)]
    }

    /// Equal for configs whose images are equal on the host.
    fn key(config: &Config) -> String {
        let side = config.model.build().map_or(0, |model| model.input().image_size);
        let data = crate::config::Data { augment: false, ..config.data.clone() };
        format!("{data:?} {side}")
    }
}

/// Runs, or resumes, `runs` under `out`: each device takes one after the other, in their order. `on_event` is told the index
/// of the run and what happens to it, from the thread that runs it. A run that fails leaves `failed.json` in its folder, and
/// the others go on.
pub fn execute(
    runs: &[&SweepRun],
    devices: &[Device],
    data: &DataSets,
    out: &Path,
    stop: &AtomicBool,
    on_event: &(dyn Fn(usize, Event<'_>) + Sync),
) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for device in devices {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(run) = runs.get(index).filter(|_| !stop.load(Ordering::Relaxed)) else { return };
                    on_event(index, Event::Started);
                    let mut context = Context {
                        device,
                        config: &run.config,
                        data: data.of(&run.config),
                        stop,
                        stop_at: None,
                        progress: &mut |status| on_event(index, Event::Step(status)),
                    };
                    match phases::run(&mut context, out) {
                        Ok(Outcome::Finished(result)) => on_event(index, Event::Finished(&result)),
                        Ok(Outcome::Interrupted) => on_event(index, Event::Stopped),
                        Err(error) => on_event(index, Event::Failed(&keep_failure(&run.config, out, &error))),
                    }
                }
            });
        }
    });
}

/// The message of an error with its causes; written into the run's folder, unless another process works there.
fn keep_failure(config: &Config, out: &Path, error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    if !matches!(error, Error::InUse { .. }) {
        let path = failure_of(config, out);
        let text = serde_json::to_string_pretty(&json!({ "error": message })).expect("a map is JSON") + "\n";
        let folder = path.parent().expect("a file in a folder");
        let kept = std::fs::create_dir_all(folder).and_then(|()| files::write(&path, text.as_bytes()));
        if let Err(error) = kept {
            message = format!("{message} (and failed.json cannot be written: {error})");
        }
    }
    message
}

fn failure_of(config: &Config, out: &Path) -> PathBuf {
    RunFolder::path_of(config, out).join("failed.json")
}

/// Forgets that a run failed, so that it is tried again.
///
/// # Errors
/// The file cannot be removed.
pub fn forget_failure(config: &Config, out: &Path) -> Result<()> {
    let path = failure_of(config, out);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Io { action: "remove", path, source })
        }
        _ => Ok(()),
    }
}
