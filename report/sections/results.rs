//! The table of all configurations, and what a reader of its means has to know.

use super::figures::Figures;
use super::section;
use crate::group::{Comparison, Group};
use crate::output::{Block, Cell, Column, Kind, Section, Sheet};
use crate::read::Run;
use crate::statistics::Summary;
use crate::text::plain;
use std::path::PathBuf;

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
    Figures::TIME,
];

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
    let caption = "Mean ± sample standard deviation over the finished runs of each configuration; their number n is under seeds.";
    let rows = groups.iter().map(row).collect();
    Sheet { stem: "results".to_string(), caption: caption.to_string(), columns, rows }
}

/// The tables: that of agents is in their own section.
fn sheets(comparison: &Comparison) -> Vec<Sheet> {
    let classifiers = comparison.classifiers();
    if classifiers.is_empty() { vec![] } else { vec![sheet(classifiers)] }
}

/// The table and the notes under it.
pub(crate) fn make(comparison: &Comparison) -> Option<Section> {
    let (sheets, lists) = (sheets(comparison), notes(comparison));
    let (title, intro) = match sheets.is_empty() {
        false => (
            "All configurations",
            "Every configuration found: the resolved config of a run without its seed and [run].",
        ),
        true => ("Notes", ""),
    };
    let anything = !(sheets.is_empty() && lists.is_empty());
    section(title, intro, anything.then(|| Block { sheets, lists, ..Block::default() }).into_iter().collect())
}

/// The same for a terminal, agents too.
pub(crate) fn text(comparison: &Comparison) -> String {
    let mut sheets = sheets(comparison);
    if !comparison.agents().is_empty() {
        sheets.push(super::agents::sheet(comparison.agents()));
    }
    let tables: Vec<String> =
        sheets.iter().map(|sheet| format!("{}\n{}\n", sheet.text(), sheet.caption)).collect();
    let mut text = tables.join("\n");
    for (title, lines) in notes(comparison) {
        text.push_str(&format!("\n{title}:\n"));
        lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

/// What a reader of the means has to know, by title.
fn notes(comparison: &Comparison) -> Vec<(String, Vec<String>)> {
    let incomplete = |group: &Group| {
        let missing: Vec<_> =
            FIGURES.iter().filter(|c| c.summary(group).is_none()).map(|c| c.heading).collect();
        let shown = !group.finished.is_empty() && !missing.is_empty();
        shown.then(|| format!("{}, {}: {}", group.experiment, group.configuration(), missing.join(", ")))
    };
    let repeats =
        |(left_out, kept): &(PathBuf, PathBuf)| format!("{} repeats {}", left_out.display(), kept.display());
    let groups = &comparison.groups;
    let (failed, unfinished): (Vec<_>, Vec<_>) = groups
        .iter()
        .flat_map(|group| group.unfinished.iter().map(move |run| (group, run)))
        .partition(|(_, run)| run.failure.is_some());
    let mut notes: Vec<(String, Vec<String>)> = vec![
        ("Failed runs, left out of the means".to_string(), failed.into_iter().map(missing).collect()),
        ("Unfinished runs, left out of the means".to_string(), unfinished.into_iter().map(missing).collect()),
        (
            "No mean, because the result of at least one seed lacks the figure".to_string(),
            comparison.classifiers().iter().filter_map(incomplete).collect(),
        ),
    ];
    notes.extend(super::provenance::notes(comparison));
    notes.push((
        "Runs left out because another has the same configuration and seed".to_string(),
        comparison.duplicates.iter().map(repeats).collect(),
    ));
    notes.retain(|(_, lines)| !lines.is_empty());
    for line in notes.iter_mut().flat_map(|(_, lines)| lines) {
        *line = plain(line);
    }
    notes
}

/// A run without a result, how far it came, and why it failed.
fn missing((group, run): (&Group, &Run)) -> String {
    let progress = match run.reached {
        Some((step, Some(epoch))) => format!("at step {step}, epoch {epoch}"),
        Some((step, None)) => format!("at step {step}"),
        None => "no metrics yet".to_string(),
    };
    let failure = run.failure.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let (folder, name, seed) = (run.folder.display(), group.configuration(), run.seed);
    format!("{folder}: {}, {name}, seed {seed}, {progress}{failure}", group.experiment)
}
