//! Agents: what they earn, on which task, with which method, and how it came.

use super::figures::Figures;
use super::{section, stem};
use crate::group::Group;
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::plots::lines::{Horizontal, Lines, Point, Series, Vertical};
use crate::read::{Reward, Run};
use crate::settings::show;
use crate::statistics::{Summary, summarize_complete};
use std::collections::{BTreeMap, BTreeSet};

const INTRO: &str = "The reward per step is a mean over the last tenth of a run's steps, exploration included. Its share of the best \
    is its quotient with what the policy gets that is best without exploration when it explores as the agent does. Curves \
    are means over the seeds, with a band of one sample standard deviation to both sides.";

/// More lines than this cannot be told apart.
pub(super) const MOST: usize = 12;

const FIGURES: [Figures; 5] = [
    Figures {
        heading: "reward per step",
        csv: "reward_per_step",
        figure: |result| result.reward_per_step,
        factor: 1.0,
        decimals: 4,
    },
    Figures {
        heading: "of the best [%]",
        csv: "share_of_best_percent",
        figure: |result| result.share_of_best,
        factor: 100.0,
        decimals: 1,
    },
    Figures {
        heading: "largest value",
        csv: "mean_max_q",
        figure: |result| result.mean_max_q,
        factor: 1.0,
        decimals: 2,
    },
    Figures { heading: "TD loss", csv: "td_loss", figure: |result| result.td_loss, factor: 1.0, decimals: 4 },
    Figures::TIME,
];

/// A curve: how it is called, what it is of a line of metrics, its axis.
struct Curve {
    name: &'static str,
    vertical: Vertical,
    value: fn(&Reward) -> Option<f64>,
}

const CURVES: [Curve; 3] = [
    Curve {
        name: "reward",
        vertical: Vertical::Percent("reward per step, share of the best [%]"),
        value: |line| Some(100.0 * line.share_of_best?),
    },
    Curve {
        name: "value",
        vertical: Vertical::Number("mean of the largest value"),
        value: |line| line.mean_max_q,
    },
    Curve { name: "loss", vertical: Vertical::Number("TD loss"), value: |line| line.td_loss },
];

/// Columns that name a configuration.
pub(super) const LABELS: [&str; 6] = ["experiment", "environment", "data", "model", "method", "settings"];

pub(super) fn labels(group: &Group) -> Vec<Cell> {
    let of = |key: &str| group.config.get(key).map(show).unwrap_or_default();
    let texts = [
        group.experiment.clone(),
        of("environment.task"),
        of("environment.set"),
        group.model.clone(),
        group.method.clone(),
        settings(group).join("; "),
    ];
    texts.map(Cell::Text).to_vec()
}

/// What tells a configuration from the others beside its environment, which has columns and a plot of its own.
pub(super) fn settings(group: &Group) -> Vec<String> {
    let named = ["environment.task=", "environment.set="];
    group.settings.iter().filter(|word| !named.iter().any(|key| word.starts_with(key))).cloned().collect()
}

/// The table of all configurations of agents.
pub(crate) fn sheet(agents: &[Group]) -> Sheet {
    let mut columns = LABELS.map(|name| Column::new(name, name, Kind::Text)).to_vec();
    columns.push(Column::new("seeds", "seeds", Kind::Count));
    columns.extend(FIGURES.map(|c| Column::new(c.heading, c.csv, Kind::Summary { decimals: c.decimals })));
    let row = |group: &Group| {
        let mut row = labels(group);
        row.push(Cell::Count(group.finished.len()));
        row.extend(FIGURES.iter().map(|column| Cell::Summary(column.summary(group))));
        row
    };
    let caption = "Agents: mean ± sample standard deviation over the finished runs of each configuration.";
    let rows = agents.iter().map(row).collect();
    Sheet { stem: "agents".into(), caption: caption.into(), columns, rows }
}

/// A table of all, and curves for each environment and set.
pub(crate) fn make(agents: &[Group]) -> Option<Section> {
    if agents.is_empty() {
        return None;
    }
    let mut blocks = vec![Block { sheets: vec![sheet(agents)], ..Block::default() }];
    for (title, part) in by_task(agents) {
        let drawn = CURVES.iter().filter_map(|curve| figure(curve, &title, &part));
        let figures: Vec<Figure> = drawn.collect();
        let data = vec![data(&stem(&["agents", &title]), &part)];
        blocks.push(Block { title, figures, data, ..Block::default() });
    }
    section("Agents", INTRO, blocks)
}

/// The configurations of each experiment, environment and set, with a title; in parts where lines could not be told apart.
pub(super) fn by_task(agents: &[Group]) -> Vec<(String, Vec<&Group>)> {
    let mut tasks: BTreeMap<(String, String, String), Vec<&Group>> = BTreeMap::new();
    for group in agents {
        let of = |key: &str| group.config.get(key).map(show).unwrap_or_default();
        let task = (group.experiment.clone(), of("environment.set"), of("environment.task"));
        tasks.entry(task).or_default().push(group);
    }
    let mut parts = Vec::new();
    for ((experiment, set, task), groups) in tasks {
        for (index, part) in groups.chunks(MOST).enumerate() {
            let on = if set.is_empty() { String::new() } else { format!(" on {set}") };
            let part_of = if groups.len() > MOST { format!(", part {}", index + 1) } else { String::new() };
            parts.push((format!("{experiment}: {task}{on}{part_of}"), part.to_vec()));
        }
    }
    parts
}

/// What a legend calls a configuration of a task.
pub(super) fn label(group: &Group) -> String {
    [&[group.model.clone(), group.method.clone()], &settings(group)[..]].concat().join(", ")
}

/// The steps that every run with metrics has, and the summary of their values.
fn points(runs: &[Run], value: fn(&Reward) -> Option<f64>) -> Vec<(u64, Summary)> {
    let logged: Vec<&Run> = runs.iter().filter(|run| !run.rewards.is_empty()).collect();
    let steps: BTreeSet<u64> = logged.iter().flat_map(|run| run.rewards.keys().copied()).collect();
    let summary = |step: u64| {
        let values = logged.iter().map(|run| value(run.rewards.get(&step)?));
        Some((step, summarize_complete(values)?))
    };
    steps.into_iter().filter_map(summary).collect()
}

fn figure(curve: &Curve, title: &str, groups: &[&Group]) -> Option<Figure> {
    let series: Vec<Series> = groups
        .iter()
        .map(|group| {
            let dot = |(step, summary): (u64, Summary)| Point {
                x: step as f64,
                mean: summary.mean,
                std: summary.std,
                shown: true,
            };
            let runs = group.drawn();
            Series {
                label: label(group),
                detail: format!("n = {}", runs.len()),
                points: points(runs, curve.value).into_iter().map(dot).collect(),
            }
        })
        .collect();
    if series.iter().all(|series| series.points.is_empty()) {
        return None;
    }
    let lines = Lines {
        title: title.to_string(),
        vertical: curve.vertical,
        horizontal: Horizontal::Counted("training steps"),
        series,
        boundaries: BTreeSet::new(),
    };
    Some(Figure {
        stem: stem(&["agents", curve.name, title]),
        caption: format!("{title}: {}. Mean and sample standard deviation over the n seeds.", curve.name),
        svg: lines.draw(),
    })
}

/// The points of all curves.
fn data(stem: &str, groups: &[&Group]) -> Sheet {
    let mut columns = LABELS.map(|name| Column::new(name, name, Kind::Text)).to_vec();
    columns.push(Column::new("step", "step", Kind::Count));
    let number = Kind::Counted { decimals: 6 };
    let names = ["reward_per_step", "share_of_best_percent", "mean_max_q", "td_loss"];
    columns.extend(names.map(|name| Column::new(name, name, number)));
    let [share, value, loss] = CURVES.each_ref().map(|curve| curve.value);
    let values = [|line: &Reward| Some(line.reward_per_step), share, value, loss];
    let mut rows = Vec::new();
    for group in groups {
        let curves =
            values.map(|value| points(group.drawn(), value).into_iter().collect::<BTreeMap<u64, Summary>>());
        let steps: BTreeSet<u64> = curves.iter().flat_map(|curve| curve.keys().copied()).collect();
        for step in steps {
            let mut row = labels(group);
            row.push(Cell::Count(step as usize));
            row.extend(curves.iter().map(|curve| Cell::Summary(curve.get(&step).copied())));
            rows.push(row);
        }
    }
    Sheet { stem: stem.to_string(), caption: String::new(), columns, rows }
}
