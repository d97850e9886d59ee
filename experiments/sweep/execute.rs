//! Runs the runs of a sweep, several at once.

use super::SweepRun;
use crate::config::RunConfig;
use crate::data_set;
use crate::error::{Error, Result};
use crate::lifecycle::{Context, Outcome, Status};
use crate::provenance::DataIdentity;
use crate::run;
use data::DataSet;
use engine::Device;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
    /// Its device was lost, with this message: the run is as its last checkpoint left it.
    DeviceLost(&'a str),
    /// What a person should know that is no error.
    Note(&'a str),
}

/// The data sets of a sweep, each loaded once.
#[derive(Debug)]
pub struct DataSets {
    sets: BTreeMap<String, (DataSet, DataIdentity)>,
    /// Of sets that only finished runs were trained on; `None` if one is no longer there.
    identities: BTreeMap<String, Option<DataIdentity>>,
}

impl DataSets {
    /// Loads what the runs need, and refuses runs that do not fit their data before anything runs.
    ///
    /// # Errors
    /// A set that is not there; a run that does not fit it.
    pub fn load(runs: &[&SweepRun], dir: &Path) -> Result<Self> {
        let mut sets = BTreeMap::new();
        for run in runs {
            let key = Self::key(run.config.shared());
            if !sets.contains_key(&key) {
                let set = data_set::load(run.config.shared(), dir)?;
                let identity = DataIdentity::of(&set);
                sets.insert(key.clone(), (set, identity));
            }
            let named = |error: Error| match error {
                Error::Mismatch(message) => Error::Mismatch(format!("the cell '{}': {message}", run.cell)),
                other => other,
            };
            let set = &sets[&key].0;
            run::check(&run.config, set).map_err(named)?;
        }
        Ok(Self { sets, identities: BTreeMap::new() })
    }

    /// The identity of a finished run's set, if that is still there: the result is shown without it, but not beside other
    /// data. The set itself is not kept.
    pub fn identity(&mut self, config: &dyn RunConfig, dir: &Path) -> Option<&DataIdentity> {
        let key = Self::key(config);
        if let Some((_, identity)) = self.sets.get(&key) {
            return Some(identity);
        }
        let load = || data_set::load(config, dir).ok().map(|set| DataIdentity::of(&set));
        self.identities.entry(key).or_insert_with(load).as_ref()
    }

    /// The set of a run, and its identity, that was there at [`DataSets::load`].
    ///
    /// # Panics
    /// If it was not.
    pub fn of(&self, config: &dyn RunConfig) -> (&DataSet, &DataIdentity) {
        let (set, identity) = &self.sets[&Self::key(config)];
        (set, identity)
    }

    /// What a person should know of each set that is not the published one.
    pub fn notes(&self) -> Vec<String> {
        self.sets.values().filter_map(|(set, identity)| identity.note(set)).collect()
    }

    /// Equal for configs whose images are equal on the host.
    fn key(config: &dyn RunConfig) -> String {
        let side = config.model().build().map_or(0, |model| model.input().image_size);
        let data = config.data().map(|data| crate::config::Data { augment: false, ..data });
        format!("{data:?} {side}")
    }
}

/// Runs, or resumes, `runs` under `out`: each device takes one after the other, in their order. `on_event` is told the index
/// of the run and what happens to it, from the thread that runs it. A run that fails leaves `failed.json` in its folder, and
/// the others go on; those for which every device is lost are not touched.
pub fn execute(
    runs: &[&SweepRun],
    devices: &[Device],
    data: &DataSets,
    out: &Path,
    stop: &AtomicBool,
    on_event: &(dyn Fn(usize, Event<'_>) + Sync),
) {
    let next = AtomicUsize::new(0);
    let work = |device: &Device| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(cell) = runs.get(index).filter(|_| !stop.load(Ordering::Relaxed)) else { return };
            on_event(index, Event::Started);
            let (set, data_identity) = data.of(cell.config.shared());
            let (progress, note) =
                (&mut |status: &Status| on_event(index, Event::Step(status)), &mut |note: &str| {
                    on_event(index, Event::Note(note))
                });
            let context = Context {
                device,
                config: &cell.config,
                data: set,
                data_identity,
                stop,
                stop_at: None,
                progress,
                note,
            };
            match run::run(context, out) {
                Ok(Outcome::Finished(result) | Outcome::WasFinished(result)) => {
                    on_event(index, Event::Finished(&result));
                }
                Ok(Outcome::Interrupted) => on_event(index, Event::Stopped),
                Err(error) if error.is_lost_device() => {
                    on_event(index, Event::DeviceLost(&error.with_causes()));
                    return;
                }
                Err(error) => on_event(index, Event::Failed(&error.with_causes())),
            }
        }
    };
    let Some((first, others)) = devices.split_first() else { return };
    std::thread::scope(|scope| {
        for device in others {
            let worker = std::thread::Builder::new().name("sweep".into());
            if worker.spawn_scoped(scope, || work(device)).is_err() {
                // No more threads are to be had: the runs are taken by fewer.
                break;
            }
        }
        work(first);
    });
}
