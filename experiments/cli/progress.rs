//! Progress bars on a terminal; in a log, nothing but the results.

use crate::protocols::phases::Status;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Bars for several runs at once.
#[derive(Debug, Default)]
pub(super) struct Bars {
    all: MultiProgress,
}

impl Bars {
    /// A bar for one run.
    pub(super) fn run(&self, name: &str) -> Bar {
        let style = ProgressStyle::with_template("{prefix:34!} {bar:28} {percent:>3}% {eta:>5}  {msg}")
            .expect("the template is valid")
            .progress_chars("=> ");
        let bar = self.all.add(ProgressBar::new(1).with_style(style).with_prefix(name.to_string()));
        Bar { bar }
    }
}

/// The bar of one run.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// Moves it.
    pub(super) fn show(&self, status: &Status) {
        self.bar.set_length(status.steps);
        self.bar.set_position(status.step);
        let accuracy =
            status.test_accuracy.map_or_else(String::new, |a| format!(", test {:.1} %", 100.0 * a));
        self.bar.set_message(format!("phase {}/{}{accuracy}", status.phase, status.phases));
    }

    /// Removes it.
    pub(super) fn done(&self) {
        self.bar.finish_and_clear();
    }
}
