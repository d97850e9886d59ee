//! The table of all configurations, and what a reader of its means has to know.

use crate::report::group::{Comparison, Group};
use crate::report::output::{Block, Cell, Column, Kind, Section, Sheet};
use crate::report::read::{Run, RunResult};
use crate::report::statistics::{Summary, summarize_complete};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A column of figures: how it is called, where it comes from, how it is shown.
struct Figures {
    heading: &'static str,
    csv: &'static str,
    figure: fn(&RunResult) -> Option<f64>,
    /// Fractions are shown in percent.
    factor: f64,
    decimals: usize,
}

const FIGURES: [Figures; 4] = [
    Figures {
        heading: "test accuracy [%]",
        csv: "test_accuracy_percent",
        figure: |result| result.test_accuracy,
        factor: 100.0,
        decimals: 2,
    },
    Figures {
        heading: "test loss",
        csv: "test_loss",
        figure: |result| result.test_loss,
        factor: 1.0,
        decimals: 4,
    },
    Figures {
        heading: "train accuracy [%]",
        csv: "train_accuracy_percent",
        figure: |result| result.train_accuracy,
        factor: 100.0,
        decimals: 2,
    },
    Figures {
        heading: "time [s]",
        csv: "seconds",
        figure: |result| result.seconds,
        factor: 1.0,
        decimals: 1,
    },
];

impl Figures {
    fn summary(&self, group: &Group) -> Option<Summary> {
        let values = group.finished.iter().map(|run| (self.figure)(run.result.as_ref()?));
        summarize_complete(values).map(|summary| summary.scaled(self.factor))
    }
}

/// Final test accuracy in percent over the finished seeds.
pub(super) fn final_accuracy(group: &Group) -> Option<Summary> {
    FIGURES[0].summary(group)
}

/// Experiment, model, method and settings.
pub(super) fn label_columns() -> Vec<Column> {
    ["experiment", "model", "method", "settings"].map(|name| Column::new(name, name, Kind::Text)).to_vec()
}

/// The cells of [`label_columns`].
pub(super) fn label_cells(group: &Group) -> Vec<Cell> {
    let texts =
        [group.experiment.clone(), group.model.clone(), group.method.clone(), group.settings.join("; ")];
    texts.map(Cell::Text).to_vec()
}

/// The table.
fn sheet(groups: &[Group]) -> Sheet {
    let mut columns = label_columns();
    columns.push(Column::new("seeds", "seeds", Kind::Count));
    columns.extend(FIGURES.map(|c| Column::new(c.heading, c.csv, Kind::Summary { decimals: c.decimals })));
    let row = |group: &Group| {
        let mut row = label_cells(group);
        row.push(Cell::Count(group.finished.len()));
        row.extend(FIGURES.iter().map(|column| Cell::Summary(column.summary(group))));
        row
    };
    let caption = "Mean ± sample standard deviation over the finished seeds of each configuration.";
    let rows = groups.iter().map(row).collect();
    Sheet { stem: "results".to_string(), caption: caption.to_string(), columns, rows }
}

/// The table and the notes under it.
pub(crate) fn make(comparison: &Comparison) -> Section {
    let intro = "Every configuration found: the resolved config of a run without its seed.".to_string();
    let block =
        Block { sheets: vec![sheet(&comparison.groups)], lists: notes(comparison), ..Block::default() };
    Section { title: "All configurations".to_string(), intro, blocks: vec![block] }
}

/// The same for a terminal.
pub(crate) fn text(comparison: &Comparison) -> String {
    let sheet = sheet(&comparison.groups);
    let mut text = format!("{}\n{}\n", sheet.text(), sheet.caption);
    for (title, lines) in notes(comparison) {
        text.push_str(&format!("\n{title}:\n"));
        lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

/// What a reader of the means has to know, by title.
fn notes(comparison: &Comparison) -> Vec<(String, Vec<String>)> {
    let unfinished = |group: &Group| {
        let name = format!("{}, {}", group.experiment, group.configuration());
        let line =
            |run: &Run| format!("{}: {name}, seed {}, {}", run.folder.display(), run.seed, progress(run));
        group.unfinished.iter().map(line).collect::<Vec<_>>()
    };
    let incomplete = |group: &Group| {
        let missing: Vec<_> =
            FIGURES.iter().filter(|c| c.summary(group).is_none()).map(|c| c.heading).collect();
        let shown = !group.finished.is_empty() && !missing.is_empty();
        shown.then(|| format!("{}, {}: {}", group.experiment, group.configuration(), missing.join(", ")))
    };
    let repeats =
        |(left_out, kept): &(PathBuf, PathBuf)| format!("{} repeats {}", left_out.display(), kept.display());
    let groups = &comparison.groups;
    let mut notes: Vec<(String, Vec<String>)> = vec![
        ("Unfinished runs, left out of the means".to_string(), groups.iter().flat_map(unfinished).collect()),
        (
            "No mean, because the result of at least one seed lacks the figure".to_string(),
            groups.iter().filter_map(incomplete).collect(),
        ),
        (
            "Seeds of one configuration that ran on different devices or revisions".to_string(),
            groups.iter().filter_map(mixture).collect(),
        ),
        (
            "Runs left out because another has the same configuration and seed".to_string(),
            comparison.duplicates.iter().map(repeats).collect(),
        ),
    ];
    notes.retain(|(_, lines)| !lines.is_empty());
    notes
}

/// Devices and revisions of a group, where there is more than one.
fn mixture(group: &Group) -> Option<String> {
    let values = |figure: fn(&RunResult) -> &Option<String>| {
        let results = group.finished.iter().filter_map(|run| run.result.as_ref());
        let values: BTreeSet<&str> = results.filter_map(|result| figure(result).as_deref()).collect();
        (values.len() > 1).then(|| values.into_iter().collect::<Vec<_>>().join(" and "))
    };
    let found = [values(|result| &result.device), values(|result| &result.git_revision)];
    let found: Vec<String> = found.into_iter().flatten().collect();
    let name = || format!("{}, {}", group.experiment, group.configuration());
    (!found.is_empty()).then(|| format!("{}: {}", name(), found.join("; ")))
}

fn progress(run: &Run) -> String {
    match run.reached {
        Some((step, epoch)) => format!("at step {step}, epoch {epoch}"),
        None => "no metrics yet".to_string(),
    }
}
