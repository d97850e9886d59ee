//! Memorisation of random labels that are drawn anew: Fig. 1 of Lyle and others 2023.

use super::{POINTS, section, stem};
use crate::group::Group;
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::plots::lines::{Horizontal, Lines, Point, Series, Vertical};
use crate::read::Run;
use crate::statistics::{Summary, summarize_complete};
use std::collections::{BTreeMap, BTreeSet};

const INTRO: &str = "Random labels of fixed images, drawn anew for each label set while training goes on. Accuracy: on examples \
    of the label set, at the end of its phase. Dead units: hidden units that put out 0 for all of these examples. Means over \
    the seeds, with a band of one sample standard deviation to both sides.";

/// What is drawn against the label sets, in percent: how files and axes call it, and its key in a line of metrics.
const CURVES: [(&str, &str, &str); 2] = [
    ("accuracy", "accuracy at the end of a label set [%]", "label_set_accuracy"),
    ("dead units", "dead units at the end of a label set [%]", "dead_unit_share"),
];

/// A share by label set, from 1, at the last evaluation of each that was trained on.
fn ends(run: &Run, key: &str) -> BTreeMap<u64, f64> {
    let mut first = BTreeSet::new();
    let trained = run.evaluations.iter().filter(|((phase, _), _)| !first.insert(*phase));
    trained.filter_map(|((set, _), seen)| Some((set + 1, 100.0 * seen.indicators.get(key)?))).collect()
}

/// The mean over the seeds, of the label sets that all of them have.
fn curve(group: &Group, key: &str) -> Vec<(u64, Summary)> {
    let runs: Vec<_> = group.drawn().iter().map(|run| ends(run, key)).collect();
    let sets: BTreeSet<u64> = runs.iter().flat_map(|run| run.keys().copied()).collect();
    let summary = |set| Some((set, summarize_complete(runs.iter().map(|run| run.get(&set).copied()))?));
    sets.into_iter().filter_map(summary).collect()
}

fn label(group: &Group) -> String {
    [std::slice::from_ref(&group.method), &group.settings].concat().join(", ")
}

/// A block for each experiment with label sets.
pub(crate) fn make(groups: &[Group]) -> Option<Section> {
    let mut experiments: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.config.contains_key("protocol.label_sets")) {
        experiments.entry(&group.experiment).or_default().push(group);
    }
    let blocks = experiments.into_iter().map(|(experiment, groups)| block(experiment, &groups)).collect();
    section("Memorisation of random labels", INTRO, blocks)
}

fn block(experiment: &str, groups: &[&Group]) -> Block {
    let figures = CURVES.map(|(name, axis, key)| {
        let series = groups.iter().map(|group| {
            let point = |(set, summary): (u64, Summary)| Point {
                x: set as f64,
                mean: summary.mean,
                std: summary.std,
                shown: true,
            };
            let detail = format!("n = {}", group.drawn().len());
            Series { label: label(group), detail, points: curve(group, key).into_iter().map(point).collect() }
        });
        let lines = Lines {
            title: format!("{experiment}: {name}"),
            vertical: Vertical::Percent(axis),
            horizontal: Horizontal::Counted("label set"),
            series: series.collect(),
            boundaries: BTreeSet::new(),
        };
        let caption = format!(
            "{experiment}: {name} over the label sets. Mean and sample standard deviation over the n seeds."
        );
        Figure { stem: stem(&["memorisation", name, experiment]), caption, svg: lines.draw() }
    });
    let mut columns = vec![
        Column::new("method", "method", Kind::Text),
        Column::new("label set", "label_set", Kind::Count),
        Column::new("seeds", "seeds", Kind::Count),
    ];
    columns.extend(CURVES.map(|(name, _, _)| {
        Column::new(format!("{name} [%]"), format!("{}_percent", name.replace(' ', "_")), POINTS)
    }));
    let mut rows = Vec::new();
    let mut last = Vec::new();
    for group in groups {
        let [accuracy, dead] =
            CURVES.map(|(_, _, key)| curve(group, key).into_iter().collect::<BTreeMap<_, _>>());
        let row = |set: &u64| {
            let seeds = Cell::Count(group.drawn().len());
            let cells = [&accuracy, &dead].map(|curve| Cell::Summary(curve.get(set).copied()));
            [vec![Cell::Text(label(group)), Cell::Count(*set as usize), seeds], cells.to_vec()].concat()
        };
        rows.extend(accuracy.keys().map(row));
        last.extend(accuracy.keys().next_back().map(row));
    }
    let name = stem(&["memorisation", experiment]);
    let caption =
        "At the end of the last label set: mean ± sample standard deviation over the seeds.".to_string();
    let summary = Sheet { stem: format!("{name}-last"), caption, columns: columns.clone(), rows: last };
    let data = Sheet { stem: name, caption: String::new(), columns, rows };
    let title = experiment.to_string();
    Block { title, figures: figures.into(), sheets: vec![summary], data: vec![data], ..Block::default() }
}
