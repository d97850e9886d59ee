//! The life of a run: new, begun, finished or failed, as its folder says.
//!
//! ```text
//!            enter                 finish
//!   new ------------+--> at work ----------> finished    stays so
//!            enter  |      |   | fail
//!   begun ----------+      |   +-----------> failed      entered again where it is asked for
//!     ^                    | stop, crash
//!     +--------------------+
//! ```
//!
//! [`look`] says what a folder holds and changes nothing. [`enter`] decides under the folder's lock, once, and gives the
//! folder to whoever may work on it. A run is what its config says: the config that lies there is compared key by key,
//! and so is the digest of what it is trained on.

mod carry_out;

pub use carry_out::{Context, Outcome, Status};
pub(crate) use carry_out::{Every, carry_out};

use crate::config::{RunConfig, flattened};
use crate::error::{Error, Result};
use crate::old_runs;
use crate::provenance::DataIdentity;
use crate::run_folder::{RunFolder, read_json};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// How far a run is, by its folder.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Nothing of it is there.
    New,
    /// It has a checkpoint.
    Begun,
    /// It has this result.
    Finished(Map<String, Value>),
    /// It failed with this message.
    Failed(String),
}

/// What came of entering a run.
#[derive(Debug)]
pub enum Entered {
    /// Its folder, locked: it is new, or begun.
    Open(RunFolder),
    /// It is finished; this is its result.
    Finished(Map<String, Value>),
}

/// Where a config's run lies under `out`: in the folder of its name, or where version 1 left it.
pub fn path_of(config: &dyn RunConfig, out: &Path) -> PathBuf {
    let path = out.join(config.name()).join(config.run_id());
    if path.exists() { path } else { old_runs::find(config, out).unwrap_or(path) }
}

/// How far a run is. Reads without a lock: what it says may be old the moment after, but for [`State::Finished`].
///
/// # Errors
/// A file in its folder that cannot be read; the folder of another run.
pub fn look(config: &dyn RunConfig, out: &Path) -> Result<State> {
    state_of(config, &path_of(config, out), &mut |_| {})
}

fn state_of(config: &dyn RunConfig, folder: &Path, note: &mut dyn FnMut(&str)) -> Result<State> {
    compare(config, folder, note)?;
    if let Some(result) =
        read_json(&folder.join("result.json"), "remove it, and the same command finishes the run again")?
    {
        if !result.contains_key("steps") {
            let message = "does not say how many steps the run has taken: it is not whole; remove it, and the same command \
                           finishes the run again";
            let path = folder.join("result.json");
            return Err(Error::Checkpoint { path, message: message.into() });
        }
        return Ok(State::Finished(result));
    }
    if let Some(failure) =
        read_json(&folder.join("failed.json"), "remove it, and the same command tries the run again")?
    {
        let message = failure.get("error").and_then(Value::as_str).unwrap_or("an error that was not kept");
        return Ok(State::Failed(message.into()));
    }
    let begun = folder.join("checkpoint.safetensors").exists();
    Ok(if begun { State::Begun } else { State::New })
}

/// Opens the folder of a run under `out` for whoever is to work on it, or gives its result. A run that failed is tried
/// again: who does not want that looks first. `note` is told what a person should know.
///
/// # Errors
/// Another process works on the run; the folder has another config, or was finished on other data; it cannot be read or
/// written.
pub fn enter(
    config: &dyn RunConfig,
    out: &Path,
    data: Option<&DataIdentity>,
    note: &mut dyn FnMut(&str),
) -> Result<Entered> {
    let path = path_of(config, out);
    let finished = |result: Map<String, Value>, note: &mut dyn FnMut(&str)| {
        compare_data(&result, data, &path, note)?;
        // Where there are no locks, remains of its last attempt may have been too young. It may lie where nobody can write.
        let _ = files::remove_partial(&path, files::ABANDONED);
        Ok(Entered::Finished(result))
    };
    // A finished run stays finished: it needs no lock, and may lie where nobody can write.
    if let State::Finished(result) = state_of(config, &path, note)? {
        return finished(result, note);
    }
    let folder = RunFolder::lock(&path, note)?;
    match state_of(config, &path, &mut |_| {})? {
        State::Finished(result) => return finished(result, note),
        State::Failed(_) => folder.forget_failure()?,
        State::New | State::Begun => {}
    }
    folder.write_config(config)?;
    Ok(Entered::Open(folder))
}

/// Whether the config that lies in a folder, if any, is this one. How a run is carried out (`[run]`) may differ.
fn compare(config: &dyn RunConfig, folder: &Path, note: &mut dyn FnMut(&str)) -> Result<()> {
    let path = folder.join("config.toml");
    let text = match files::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        text => text.map_err(|source| Error::Io { action: "read", path: path.clone(), source })?,
    };
    let stored: toml::Table = text.parse().map_err(|_| Error::Checkpoint {
        message: "is not a config; restore it from a copy, or remove the run's folder".into(),
        path: path.clone(),
    })?;
    if stored.is_empty() {
        let message = "is empty; restore it from a copy, or remove the run's folder".into();
        return Err(Error::Checkpoint { path, message });
    }
    let has_old_name = folder.file_name().is_some_and(|name| name != config.run_id().as_str());
    if has_old_name && old_runs::is_old(&stored) {
        // `path_of` compared it already.
        note(
            "it was begun by version 1 of this program, whose random draws and sums differ in their last bits",
        );
        return old_runs::check_meaning(config, folder);
    }
    // As a file says it: a number of 32 bits has fewer digits there.
    let now: toml::Table = config.to_toml().parse().expect("a config is TOML");
    let (stored, now) = (flattened(&stored), flattened(&now));
    let of_the_run = |key: &&String| !key.starts_with("run.");
    let differs =
        stored.keys().chain(now.keys()).filter(of_the_run).find(|&key| stored.get(key) != now.get(key));
    let Some(key) = differs else { return Ok(()) };
    let show = |value: Option<&toml::Value>| value.map_or_else(|| "no value".into(), toml::Value::to_string);
    Err(Error::Checkpoint {
        message: format!(
            "has {key} = {}, this run has {}: two runs of one name; choose another --out",
            show(stored.get(key)),
            show(now.get(key))
        ),
        path,
    })
}

/// Refuses a result that was made with other data.
fn compare_data(
    result: &Map<String, Value>,
    data: Option<&DataIdentity>,
    folder: &Path,
    note: &mut dyn FnMut(&str),
) -> Result<()> {
    let Some(now) = data else { return Ok(()) };
    let text = |key: &str| result.get(key).and_then(Value::as_str);
    match text("data_digest") {
        None => note("its result does not say on which data it was made; today's were not compared"),
        Some(digest) if digest == now.digest => {}
        Some(digest) => return Err(other_data(folder, "finished", digest, text("data_origin"), now)),
    }
    Ok(())
}

/// The error for a run whose data have changed.
pub fn other_data(
    folder: &Path,
    done: &str,
    digest: &str,
    origin: Option<&str>,
    now: &DataIdentity,
) -> Error {
    let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_string();
    Error::OtherData {
        path: folder.to_path_buf(),
        done: done.into(),
        before: format!("{} ({})", short(digest), origin.unwrap_or("of unknown origin")),
        now: format!("{} ({})", short(&now.digest), now.origin),
    }
}
