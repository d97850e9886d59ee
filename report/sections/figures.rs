//! A column of figures from the results of runs.

use crate::group::Group;
use crate::result::RunResult;
use crate::statistics::{Summary, summarize_complete};

/// A column of figures: how it is called, where it comes from, how it is shown.
pub(super) struct Figures {
    pub(super) heading: &'static str,
    pub(super) csv: &'static str,
    pub(super) figure: fn(&RunResult) -> Option<f64>,
    /// Fractions are shown in percent.
    pub(super) factor: f64,
    pub(super) decimals: usize,
}

impl Figures {
    /// How long a run took.
    pub(super) const TIME: Self = Self {
        heading: "time [s]",
        csv: "seconds",
        figure: |result| result.seconds,
        factor: 1.0,
        decimals: 1,
    };

    pub(super) fn summary(&self, group: &Group) -> Option<Summary> {
        let values = group.finished.iter().map(|run| (self.figure)(run.result.as_ref()?));
        summarize_complete(values).map(|summary| summary.scaled(self.factor))
    }
}
