//! Learning curves: the evaluations of a configuration, averaged over its seeds.

use super::{POINTS, section, stem};
use crate::group::Group;
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::plots::lines::{Horizontal, Lines, Point as Dot, Series, Vertical};
use crate::read::{Evaluation, Run};
use crate::settings::Protocol;
use crate::statistics::{Summary, summarize_complete};
use std::collections::{BTreeMap, BTreeSet};

const INTRO: &str = "Test accuracy against training steps: the mean over the finished seeds of a configuration (over the \
    unfinished ones as long as none has finished), and a band of one sample standard deviation to both sides. A dotted \
    vertical line is the end of a phase. Evaluations of networks that have not been trained, or have just been reset, may lie \
    below the plot.";

/// More lines than this cannot be told apart.
const MOST: usize = 28;

/// One point of a learning curve; accuracies in percent.
#[derive(Clone, Copy, Debug)]
struct Point {
    phase: u64,
    step: u64,
    epoch: f64,
    accuracy: Summary,
    /// Evaluated before the phase took its first step, so still (or again) without training.
    untrained: bool,
    hare: Option<Summary>,
    tortoise: Option<Summary>,
}

/// A line to be drawn.
pub(super) struct Curve<'a> {
    pub(super) label: String,
    pub(super) detail: String,
    pub(super) runs: &'a [&'a Run],
}

/// The points that every run with evaluations has, by phase and step.
fn curve(runs: &[&Run]) -> Vec<Point> {
    let evaluated = runs.iter().filter(|run| !run.evaluations.is_empty()).count();
    let mut points: BTreeMap<(u64, u64), Vec<&Evaluation>> = BTreeMap::new();
    for run in runs {
        for (key, evaluation) in &run.evaluations {
            points.entry(*key).or_default().push(evaluation);
        }
    }
    let phase_start = |phase: u64| {
        let before = |run: &&Run| run.phase_ends.range(..phase).next_back().map(|(_, step)| *step);
        runs.iter().filter_map(before).max().unwrap_or(0)
    };
    let percent = |values: &[&Evaluation], figure: fn(&Evaluation) -> Option<f64>| {
        summarize_complete(values.iter().map(|value| figure(value))).map(|summary| summary.scaled(100.0))
    };
    let complete = points.into_iter().filter(|(_, seeds)| seeds.len() == evaluated);
    complete
        .filter_map(|((phase, step), seeds)| {
            Some(Point {
                phase,
                step,
                epoch: seeds.first()?.epoch,
                accuracy: percent(&seeds, |evaluation| Some(evaluation.test_accuracy))?,
                untrained: step <= phase_start(phase),
                hare: percent(&seeds, |evaluation| evaluation.hare_test_accuracy),
                tortoise: percent(&seeds, |evaluation| evaluation.tortoise_test_accuracy),
            })
        })
        .collect()
}

/// The drawing of learning curves, with the drops between phases in full or cut off where they leave the rest.
pub(super) fn learning_curves(title: &str, curves: &[Curve<'_>], drops: bool) -> Lines {
    let dot = |point: &Point| Dot {
        x: point.step as f64,
        mean: point.accuracy.mean,
        std: point.accuracy.std,
        shown: !point.untrained || drops && point.step > 0,
    };
    let series = curves.iter().map(|line| Series {
        label: line.label.clone(),
        detail: line.detail.clone(),
        points: curve(line.runs).iter().map(dot).collect(),
    });
    Lines {
        title: title.to_string(),
        vertical: Vertical::Percent("test accuracy [%]"),
        horizontal: Horizontal::Counted("training steps"),
        series: series.collect(),
        boundaries: curves.iter().flat_map(|line| line.runs).flat_map(|run| run.phase_boundaries()).collect(),
    }
}

/// A figure for each experiment, or for each protocol in it where it has many configurations; and one of everything where
/// that is not too much.
pub(crate) fn make(groups: &[Group]) -> Option<Section> {
    let experiments: BTreeSet<&str> = groups.iter().map(|group| group.experiment.as_str()).collect();
    let mut blocks = Vec::new();
    let all: Vec<&Group> = groups.iter().collect();
    if experiments.len() > 1 && all.len() <= MOST {
        blocks.push(block("All experiments".to_string(), &["curves"], &all));
    }
    for &experiment in &experiments {
        let members: Vec<&Group> =
            all.iter().copied().filter(|group| group.experiment == experiment).collect();
        if members.len() <= MOST {
            blocks.push(block(experiment.to_string(), &["curves", experiment], &members));
            continue;
        }
        let mut protocols: BTreeMap<String, Vec<&Group>> = BTreeMap::new();
        for group in members {
            let protocol = Protocol::of(&group.config).describe();
            protocols.entry(protocol).or_default().push(group);
        }
        for (protocol, members) in protocols {
            for (index, part) in members.chunks(MOST).enumerate() {
                let part_of =
                    if members.len() > MOST { format!(", part {}", index + 1) } else { String::new() };
                let title = format!("{experiment}: {protocol}{part_of}");
                blocks.push(block(title, &["curves", experiment, &protocol, &part_of], part));
            }
        }
    }
    section("Learning curves", INTRO, blocks)
}

fn block(title: String, name: &[&str], groups: &[&Group]) -> Block {
    let (labels, shared) = labels(groups);
    let runs: Vec<Vec<&Run>> = groups.iter().map(|group| group.drawn().iter().collect()).collect();
    let lines: Vec<Curve<'_>> = labels
        .into_iter()
        .zip(groups)
        .zip(&runs)
        .map(|((label, group), runs)| Curve { label, detail: final_text(group), runs })
        .collect();
    let heading =
        if shared.is_empty() { "Test accuracy".to_string() } else { format!("Test accuracy: {shared}") };
    let stem = stem(name);
    let figure = Figure {
        stem: stem.clone(),
        caption: format!(
            "Learning curves: {title}. Mean and sample standard deviation over the n seeds of each line."
        ),
        svg: learning_curves(&heading, &lines, false).draw(),
    };
    Block { title, figures: vec![figure], data: vec![sheet(stem, groups)], ..Block::default() }
}

/// Labels that name only what differs among the groups, and the title that names what they share.
fn labels(groups: &[&Group]) -> (Vec<String>, String) {
    let shared = |part: fn(&Group) -> &String| {
        let mut parts = groups.iter().map(|group| part(group));
        let first = parts.next();
        parts.all(|part| Some(part) == first)
    };
    let parts: [fn(&Group) -> &String; 3] = [|g| &g.experiment, |g| &g.model, |g| &g.method];
    let mut in_title = parts.map(shared);
    // The method is what a reader looks for, so it is repeated in the legend wherever nothing else would be there.
    in_title[2] &= groups.iter().all(|group| !group.settings.is_empty());
    let pick = |group: &Group, titled: bool| {
        let chosen = parts.iter().zip(in_title).filter(|(_, in_title)| *in_title == titled);
        chosen.map(|(part, _)| part(group).clone()).collect::<Vec<_>>()
    };
    let label = |group: &&Group| {
        let mut parts = pick(group, false);
        parts.extend(group.settings.iter().cloned());
        parts.join(", ")
    };
    let title = groups.first().map(|group| pick(group, true).join(", ")).unwrap_or_default();
    (groups.iter().map(label).collect(), title)
}

/// The final figure in words, as under each label of a legend.
fn final_text(group: &Group) -> String {
    if group.finished.is_empty() {
        return "unfinished".to_string();
    }
    match super::results::final_accuracy(group) {
        Some(summary) if summary.n > 1 => format!("{} % (n = {})", summary.show(2), summary.n),
        Some(summary) => format!("{:.2} % (n = 1)", summary.mean),
        None => "no final accuracy".to_string(),
    }
}

/// The points of all curves.
fn sheet(stem: String, groups: &[&Group]) -> Sheet {
    let mut columns = super::results::label_columns();
    columns.extend(["phase", "step"].map(|name| Column::new(name, name, Kind::Count)));
    columns.push(Column::new("epoch", "epoch", Kind::Number { decimals: 0, signed: false }));
    columns.push(Column::new("seeds", "seeds", Kind::Count));
    columns.extend(
        ["test_accuracy_percent", "hare_test_accuracy_percent", "tortoise_test_accuracy_percent"]
            .map(|name| Column::new(name, name, POINTS)),
    );
    let mut rows = Vec::new();
    for group in groups {
        for point in curve(&group.drawn().iter().collect::<Vec<_>>()) {
            let mut row = super::results::label_cells(group);
            row.extend([Cell::Count(point.phase as usize), Cell::Count(point.step as usize)]);
            row.extend([Cell::Number(Some(point.epoch)), Cell::Count(point.accuracy.n)]);
            row.extend([Some(point.accuracy), point.hare, point.tortoise].map(Cell::Summary));
            rows.push(row);
        }
    }
    Sheet { stem, caption: String::new(), columns, rows }
}
