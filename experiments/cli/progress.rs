//! Progress bars on a terminal; in a log, nothing but the results.

use super::print;
use crate::lifecycle::Status;
use crate::run;
use crate::sweep::{Event, SweepRun};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The bar of one run.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar for the run of this name.
    pub(super) fn new(name: String) -> Self {
        let style = ProgressStyle::with_template("{prefix:34!} {bar:28} {percent:>3}% {eta:>5}  {msg}")
            .expect("the template is valid")
            .progress_chars("=> ");
        Self { bar: ProgressBar::new(1).with_style(style).with_prefix(name) }
    }

    /// Moves it.
    pub(super) fn show(&self, status: &Status) {
        self.bar.set_length(status.steps);
        self.bar.set_position(status.step);
        self.bar.set_message(status.words.clone());
    }

    /// Shows a line above it.
    pub(super) fn note(&self, line: &str) {
        self.bar.suspend(|| super::note(line));
    }

    /// Removes it.
    pub(super) fn done(&self) {
        self.bar.finish_and_clear();
    }
}

/// The progress of a sweep: one bar on a terminal; in a log, a line for every run that ends.
#[derive(Debug)]
pub(super) struct SweepProgress {
    bar: ProgressBar,
    started: Instant,
    runs: usize,
    finished_before: usize,
    /// Of the runs to run.
    tracks: Vec<Track>,
    state: Mutex<SweepState>,
}

/// A run of the sweep.
#[derive(Debug)]
struct Track {
    label: String,
    steps: u64,
    /// It goes on from a checkpoint: the first step seen is not its first.
    begun: bool,
}

#[derive(Debug, Default)]
struct SweepState {
    /// Of each run: the step it began at, once known, and the step it is at.
    at: Vec<(Option<u64>, u64)>,
    running: usize,
    finished: usize,
    failures: Vec<String>,
    lost_device: Option<String>,
    notes: BTreeSet<String>,
}

/// What became of the runs of a sweep.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// A line for each run that failed.
    pub(super) failures: Vec<String>,
    /// Why a device was lost, if one was.
    pub(super) lost_device: Option<String>,
}

impl SweepProgress {
    /// Nothing to run yet, of `runs` runs that a sweep has, `finished` of them in earlier attempts.
    pub(super) fn new(runs: usize, finished: usize) -> Self {
        let style = ProgressStyle::with_template("{bar:28} {percent:>3}%  {msg}")
            .expect("the template is valid")
            .progress_chars("=> ");
        Self {
            bar: ProgressBar::new(1).with_style(style),
            started: Instant::now(),
            runs,
            finished_before: finished,
            tracks: Vec::new(),
            state: Mutex::default(),
        }
    }

    /// A run that is to run on `n` images.
    pub(super) fn add(&mut self, run: &SweepRun, n: usize, begun: bool) -> crate::Result<()> {
        let steps = run::steps(&run.config, n)?;
        self.tracks.push(Track { label: run.label(), steps, begun });
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).at.push((None, 0));
        Ok(())
    }

    /// Takes note of what happens to a run.
    pub(super) fn show(&self, index: usize, event: Event<'_>) {
        let track = &self.tracks[index];
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = match event {
            Event::Started => {
                state.running += 1;
                if !track.begun {
                    state.at[index].0 = Some(0);
                }
                None
            }
            Event::Step(status) => {
                let at = &mut state.at[index];
                *at = (at.0.or(Some(status.step)), status.step);
                None
            }
            Event::Finished(result) => {
                state.running -= 1;
                state.finished += 1;
                state.at[index].1 = track.steps;
                let number = |key: &str| result.get(key).and_then(serde_json::Value::as_f64);
                let what = match (number("test_accuracy"), number("reward_per_step")) {
                    (Some(share), _) => format!("test {:.2} %", 100.0 * share),
                    (None, Some(reward)) => format!("reward {reward:.4} per step"),
                    (None, None) => "no figure".into(),
                };
                let seconds = number("seconds").unwrap_or_default();
                Some(format!("{what} in {seconds} s: {}", track.label))
            }
            Event::Failed(message) => {
                state.running -= 1;
                state.at[index].1 = track.steps;
                let line = format!("{}: {message}", track.label);
                state.failures.push(line.clone());
                Some(format!("FAILED: {line}"))
            }
            Event::Stopped => {
                state.running -= 1;
                None
            }
            Event::DeviceLost(message) => {
                state.running -= 1;
                state.lost_device = Some(message.to_string());
                Some(format!("DEVICE LOST: {message}: {}", track.label))
            }
            Event::Note(note) => {
                // Most notes are about what all runs share.
                if state.notes.insert(note.to_string()) {
                    self.bar.suspend(|| super::note(&format!("{note} ({})", track.label)));
                }
                return;
            }
        };
        let total: u64 = self.tracks.iter().map(|track| track.steps).sum();
        let position: u64 = state.at.iter().map(|(_, now)| now).sum();
        let taken: u64 = state.at.iter().map(|(from, now)| now - from.unwrap_or(*now)).sum();
        let rate = taken as f64 / self.started.elapsed().as_secs_f64();
        let left = if taken > 0 { duration((total - position) as f64 / rate) } else { "?".into() };
        let message = format!(
            "{}/{} runs finished, {} running, {} failed; {rate:.0} steps/s, {left} left",
            self.finished_before + state.finished,
            self.runs,
            state.running,
            state.failures.len()
        );
        if let Some(line) = line {
            match self.bar.is_hidden() {
                // A closed pipe is no reason to stop training.
                true => drop(print(&format!("{line} ({message})"))),
                false => self.bar.println(line),
            }
        }
        self.bar.set_length(total);
        self.bar.set_position(position);
        self.bar.set_message(message);
    }

    /// Removes the bar.
    pub(super) fn finish(self) -> Ended {
        self.bar.finish_and_clear();
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ended { failures: state.failures, lost_device: state.lost_device }
    }
}

/// Seconds as a person reads them.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s if s < 360_000.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}
