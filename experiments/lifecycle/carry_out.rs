//! What a run needs from outside, what it tells, and how it ends, whatever it trains.

use crate::error::{Error, Result};
use crate::provenance::DataIdentity;
use crate::run_folder::RunFolder;
use data::DataSet;
use engine::Device;
use serde_json::{Map, Value};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All its steps are done; the content of `result.json`.
    Finished(Map<String, Value>),
    /// It was finished before; the content of `result.json`.
    WasFinished(Map<String, Value>),
    /// It was asked to stop and saved a checkpoint.
    Interrupted,
}

/// Told about progress: where the run is, for a progress bar.
#[derive(Clone, Debug)]
pub struct Status {
    /// Steps taken in the run.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// What a person wants to know beside it, in a few words.
    pub words: String,
}

/// What a run needs from outside. `C` is its config.
pub struct Context<'a, C> {
    /// The device.
    pub device: &'a Device,
    /// Resolved config.
    pub config: &'a C,
    /// The data set.
    pub data: &'a DataSet,
    /// What the data set is, by content.
    pub data_identity: &'a DataIdentity,
    /// Set by a signal: save and stop.
    pub stop: &'a AtomicBool,
    /// Save and stop before this step of the run, as a signal would: exact where a signal is not.
    pub stop_at: Option<u64>,
    /// Called about ten times a second at most.
    pub progress: &'a mut dyn FnMut(&Status),
    /// Told what a person should know that is no error.
    pub note: &'a mut dyn FnMut(&str),
}

impl<'a, C> Context<'a, C> {
    /// The same with another config.
    pub(crate) fn of<D>(self, config: &'a D) -> Context<'a, D> {
        let Context { device, data, data_identity, stop, stop_at, progress, note, .. } = self;
        Context { device, config, data, data_identity, stop, stop_at, progress, note }
    }

    /// Whether to save and stop before this step.
    pub(crate) fn stops_before(&self, step: u64) -> bool {
        self.stop.load(Ordering::Relaxed) || self.stop_at == Some(step)
    }
}

/// When it is time again to do something.
#[derive(Debug)]
pub(crate) struct Every {
    period: Duration,
    last: Instant,
}

impl Every {
    /// For the first time a period from now.
    pub(crate) fn seconds(seconds: f64) -> Self {
        Self { period: Duration::from_secs_f64(seconds), last: Instant::now() }
    }

    /// Whether a period has passed since it was time last.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.last.elapsed() >= self.period;
        if due {
            self.last = Instant::now();
        }
        due
    }
}

/// Carries a run out. A failure that would come again, a panic too, is written down in the folder that `work` left in its
/// argument.
///
/// # Errors
/// Those of `work`; a panic in it.
pub(crate) fn carry_out<C>(
    context: &mut Context<'_, C>,
    work: impl FnOnce(&mut Context<'_, C>, &mut Option<RunFolder>) -> Result<Outcome>,
) -> Result<Outcome> {
    let mut folder = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| work(context, &mut folder)))
        .unwrap_or_else(|panic| Err(Error::Panic { message: said(panic.as_ref()) }));
    if let (Err(error), Some(folder)) = (&outcome, &folder)
        && error.is_of_the_run()
    {
        // What failed is worth more than that it could not be written down.
        if let Err(failure) = folder.fail(&error.with_causes()) {
            (context.note)(&failure.with_causes());
        }
    }
    outcome
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").into()
}
