//! The table of results as text, Markdown and CSV.

use super::group::{Comparison, Group};
use super::read::{Run, RunResult};
use super::statistics::{Summary, summarize_complete};
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle, presets};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A column of figures: how it is called, where it comes from, how it is shown.
struct Column {
    heading: &'static str,
    csv: &'static str,
    figure: fn(&RunResult) -> Option<f64>,
    /// Fractions are shown in percent.
    factor: f64,
    decimals: usize,
}

const COLUMNS: [Column; 4] = [
    Column {
        heading: "test accuracy [%]",
        csv: "test_accuracy_percent",
        figure: |result| result.test_accuracy,
        factor: 100.0,
        decimals: 2,
    },
    Column {
        heading: "test loss",
        csv: "test_loss",
        figure: |result| result.test_loss,
        factor: 1.0,
        decimals: 4,
    },
    Column {
        heading: "train accuracy [%]",
        csv: "train_accuracy_percent",
        figure: |result| result.train_accuracy,
        factor: 100.0,
        decimals: 2,
    },
    Column { heading: "time [s]", csv: "seconds", figure: |result| result.seconds, factor: 1.0, decimals: 1 },
];

impl Column {
    fn summary(&self, group: &Group) -> Option<Summary> {
        let values = group.finished.iter().map(|run| (self.figure)(run.result.as_ref()?));
        summarize_complete(values).map(|summary| summary.scaled(self.factor))
    }
}

/// Final test accuracy in percent over the finished seeds.
pub(crate) fn final_accuracy(group: &Group) -> Option<Summary> {
    COLUMNS[0].summary(group)
}

fn table(groups: &[Group], style: TableStyle, escape: fn(&str) -> String) -> String {
    let mut table = Table::new();
    table.load_style(style);
    let mut header = vec!["experiment", "configuration", "seeds"];
    header.extend(COLUMNS.map(|column| column.heading));
    table.set_header(header);
    for group in groups {
        let mut row = vec![escape(&group.experiment), escape(&group.configuration())];
        row.push(group.finished.len().to_string());
        for column in &COLUMNS {
            row.push(column.summary(group).map_or_else(|| "-".to_string(), |s| s.show(column.decimals)));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The table and the notes under it, for a terminal.
pub(crate) fn text(comparison: &Comparison) -> String {
    let rule = || LineStyle::none().fill('-').junction('-');
    let style = TableStyle::new().top_border(rule()).header_separator(rule()).bottom_border(rule());
    let table = table(&comparison.groups, style, str::to_string);
    let mut text = table.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
    text.push_str("\nMean ± sample standard deviation over the finished seeds of each configuration.\n");
    for (title, lines) in notes(comparison) {
        let _ = writeln!(text, "\n{title}:");
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// The same in GitHub-flavoured Markdown.
pub(crate) fn markdown(comparison: &Comparison) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|").replace('*', "\\*");
    let table = table(&comparison.groups, presets::ASCII_MARKDOWN, escape);
    let mut text = String::new();
    for (index, line) in table.lines().enumerate() {
        let newline = if index > 0 { "\n" } else { "" };
        // The rule under the headings tells Markdown which columns are aligned to the right.
        let right = if index == 1 { align_right(line) } else { line.to_string() };
        let _ = write!(text, "{newline}{right}");
    }
    text.push_str("\n\nMean ± sample standard deviation over the finished seeds of each configuration.\n");
    for (title, lines) in notes(comparison) {
        let _ = writeln!(text, "\n{title}:\n");
        for line in lines {
            let _ = writeln!(text, "- {}", escape(&line));
        }
    }
    text
}

/// Marks all columns of a Markdown rule as figures but the first two.
fn align_right(rule: &str) -> String {
    let columns: Vec<&str> = rule.trim_matches('|').split('|').collect();
    let mark = |(index, dashes): (usize, &&str)| match index {
        0 | 1 => dashes.to_string(),
        _ => format!("{}:", &dashes[1..]),
    };
    format!("|{}|", columns.iter().enumerate().map(mark).collect::<Vec<_>>().join("|"))
}

/// What a reader of the means has to know, by title.
fn notes(comparison: &Comparison) -> Vec<(&'static str, Vec<String>)> {
    let mut notes = Vec::new();
    let unfinished = |group: &Group| {
        let name = format!("{}, {}", group.experiment, group.configuration());
        let line =
            |run: &Run| format!("{}: {name}, seed {}, {}", run.folder.display(), run.seed, progress(run));
        group.unfinished.iter().map(line).collect::<Vec<_>>()
    };
    let lines: Vec<String> = comparison.groups.iter().flat_map(unfinished).collect();
    if !lines.is_empty() {
        notes.push(("Unfinished runs, left out of the means", lines));
    }
    let incomplete = |group: &Group| {
        let missing: Vec<_> =
            COLUMNS.iter().filter(|c| c.summary(group).is_none()).map(|c| c.heading).collect();
        let shown = !group.finished.is_empty() && !missing.is_empty();
        shown.then(|| format!("{}, {}: {}", group.experiment, group.configuration(), missing.join(", ")))
    };
    let lines: Vec<String> = comparison.groups.iter().filter_map(incomplete).collect();
    if !lines.is_empty() {
        notes.push(("No mean, because the result of at least one seed lacks the figure", lines));
    }
    let lines: Vec<String> = comparison.groups.iter().filter_map(mixture).collect();
    if !lines.is_empty() {
        notes.push(("Seeds of one configuration that ran on different devices or revisions", lines));
    }
    if !comparison.duplicates.is_empty() {
        let line = |(left_out, kept): &(std::path::PathBuf, std::path::PathBuf)| {
            format!("{} repeats {}", left_out.display(), kept.display())
        };
        let lines = comparison.duplicates.iter().map(line).collect();
        notes.push(("Runs left out because another has the same configuration and seed", lines));
    }
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

/// One line for each configuration, mean and standard deviation in columns of their own, unrounded, empty
/// where there is none.
pub(crate) fn csv(groups: &[Group]) -> String {
    let mut header = ["experiment", "model", "method", "settings", "seeds"].map(str::to_string).to_vec();
    header.extend(COLUMNS.iter().flat_map(|c| [format!("{}_mean", c.csv), format!("{}_std", c.csv)]));
    let mut csv = csv_line(&header);
    for group in groups {
        let mut line = csv_label(group);
        line.push(group.finished.len().to_string());
        line.extend(COLUMNS.iter().flat_map(|column| csv_summary(column.summary(group))));
        csv.push_str(&csv_line(&line));
    }
    csv
}

/// Experiment, model, method and settings of a group.
pub(crate) fn csv_label(group: &Group) -> Vec<String> {
    vec![group.experiment.clone(), group.model.clone(), group.method.clone(), group.settings.join("; ")]
}

/// Mean and standard deviation, empty where there is none.
pub(crate) fn csv_summary(summary: Option<Summary>) -> [String; 2] {
    let show = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    [show(summary.map(|summary| summary.mean)), show(summary.and_then(|summary| summary.std))]
}

/// Joins the fields, in quotes where RFC 4180 asks for them.
pub(crate) fn csv_line(fields: &[String]) -> String {
    let quote = |field: &String| {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    };
    fields.iter().map(quote).collect::<Vec<_>>().join(",") + "\n"
}
