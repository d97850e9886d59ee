//! How plastic the networks of agents stay: probe tasks (Lyle and others 2023, figures 3, 4 and 6).

use super::agents::{LABELS, by_task, label, labels};
use super::{section, stem};
use crate::group::Group;
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::plots::lines::{Horizontal, Lines, Point, Series, Vertical};
use crate::plots::scatter::{Panel, Scatter};
use crate::read::{Probe, Run};
use crate::settings::show;
use crate::statistics::{Summary, pearson, summarize_complete};
use std::collections::{BTreeMap, BTreeSet};

const INTRO: &str = "A probe lets a copy of the network learn random functions, g(x) = a + sin(10⁵ f(x; w)) with fresh w. Plasticity is \
    the variance of their values minus the mean squared error that is left, .5 where all is learnt and 0 where nothing is. \
    Fresh networks learn the same functions of the same inputs: below them the network has lost plasticity. The change since \
    the first probe of the same run contains what other inputs change.";

/// Training steps between two points of a probe's curve.
const CURVE: usize = 50;

/// Fewer runs have no correlation.
const LEAST: usize = 3;

/// What a quantity is of a probe.
type Quantity = fn(&Probe) -> Option<f64>;

/// What plasticity is compared with, and how it is called.
const QUANTITIES: [(&str, Quantity); 4] = [
    ("weight norm", |probe| probe.weight_norm),
    ("weight rank", |probe| probe.weight_rank),
    ("feature rank", |probe| probe.feature_rank),
    ("dead units", |probe| probe.dead_units),
];

/// Of a run at a step.
type Value = fn(&Run, u64) -> Option<f64>;

/// The columns of the table, of the last probe: heading, name in a CSV file, value.
const COLUMNS: [(&str, &str, Value); 8] = [
    ("plasticity", "plasticity", |run, step| Some(run.probes.get(&step)?.plasticity)),
    ("its change", "plasticity_change", change),
    ("fresh networks", "fresh_plasticity", fresh),
    ("against fresh", "plasticity_against_fresh", against_fresh),
    ("weight norm", "weight_norm", |run, step| run.probes.get(&step)?.weight_norm),
    ("weight rank", "weight_rank", |run, step| run.probes.get(&step)?.weight_rank),
    ("feature rank", "feature_rank", |run, step| run.probes.get(&step)?.feature_rank),
    ("dead units", "dead_units", |run, step| run.probes.get(&step)?.dead_units),
];

/// Plasticity at a step minus that at the first probe.
fn change(run: &Run, step: u64) -> Option<f64> {
    let (_, first) = run.probes.first_key_value()?;
    Some(run.probes.get(&step)?.plasticity - first.plasticity)
}

/// The mean plasticity of the fresh networks at a step.
fn fresh(run: &Run, step: u64) -> Option<f64> {
    let fresh = &run.probes.get(&step)?.fresh;
    let sum = fresh.iter().map(|network| network.plasticity).sum::<f64>();
    (!fresh.is_empty()).then(|| sum / fresh.len() as f64)
}

/// Plasticity at a step minus that of the fresh networks.
fn against_fresh(run: &Run, step: u64) -> Option<f64> {
    Some(run.probes.get(&step)?.plasticity - fresh(run, step)?)
}

/// What a network lost: against fresh networks where there are any, else since its first probe.
fn loss(run: &Run, step: u64) -> Option<f64> {
    against_fresh(run, step).or_else(|| change(run, step))
}

/// The table, for each environment and set the changes and the last curves, and what they go with.
pub(crate) fn make(agents: &[Group]) -> Option<Section> {
    let probed = |group: &&Group| group.drawn().iter().any(|run| !run.probes.is_empty());
    if !agents.iter().any(|group| probed(&group)) {
        return None;
    }
    let mut blocks = vec![Block { sheets: vec![table(agents)], ..Block::default() }];
    for (title, groups) in by_task(agents) {
        let groups: Vec<&Group> = groups.into_iter().filter(probed).collect();
        if groups.is_empty() {
            continue;
        }
        let figures = vec![changes(&title, &groups), curves(&title, &groups)];
        let data = vec![points_of(&title, &groups)];
        blocks.push(Block { title, figures, data, ..Block::default() });
    }
    blocks.extend(correlations(agents));
    section("Plasticity of agents", INTRO, blocks)
}

/// The step of the last probe that every finished run of a configuration has.
fn last_step(runs: &[Run]) -> Option<u64> {
    runs.iter().filter_map(|run| Some(*run.probes.last_key_value()?.0)).min()
}

fn table(agents: &[Group]) -> Sheet {
    let mut columns = LABELS.map(|name| Column::new(name, name, Kind::Text)).to_vec();
    columns.push(Column::new("seeds", "seeds", Kind::Count));
    columns.extend(COLUMNS.map(|(name, csv, _)| Column::new(name, csv, Kind::Summary { decimals: 3 })));
    let row = |group: &Group| {
        let step = last_step(&group.finished)?;
        let mut row = labels(group);
        row.push(Cell::Count(group.finished.len()));
        row.extend(COLUMNS.map(|(_, _, value)| {
            Cell::Summary(summarize_complete(group.finished.iter().map(|run| value(run, step))))
        }));
        Some(row)
    };
    let caption = "Plasticity at the last probe: mean ± sample standard deviation over the finished runs.";
    let rows = agents.iter().filter_map(row).collect();
    Sheet { stem: "plasticity".into(), caption: caption.into(), columns, rows }
}

/// The steps at which a run of these was probed, and the summary of a value of all of them.
fn points(runs: &[Run], value: Value) -> Vec<(u64, Summary)> {
    let probed: Vec<&Run> = runs.iter().filter(|run| !run.probes.is_empty()).collect();
    let steps: BTreeSet<u64> = probed.iter().flat_map(|run| run.probes.keys().copied()).collect();
    let summary = |step: u64| Some((step, summarize_complete(probed.iter().map(|run| value(run, step)))?));
    steps.into_iter().filter_map(summary).collect()
}

fn dot(x: f64, summary: Summary) -> Point {
    Point { x, mean: summary.mean, std: summary.std, shown: true }
}

/// Figure 6: how plasticity changes.
fn changes(title: &str, groups: &[&Group]) -> Figure {
    let series = groups.iter().map(|group| Series {
        label: label(group),
        detail: format!("n = {}", group.drawn().len()),
        points: points(group.drawn(), loss).into_iter().map(|(step, s)| dot(step as f64, s)).collect(),
    });
    let lines = Lines {
        title: title.to_string(),
        vertical: Vertical::Number("plasticity minus that of fresh networks"),
        horizontal: Horizontal::Counted("training steps"),
        series: series.collect(),
        boundaries: BTreeSet::new(),
    };
    Figure {
        stem: stem(&["plasticity", "change", title]),
        caption: format!(
            "{title}: change of plasticity. Mean and sample standard deviation over the n seeds."
        ),
        svg: lines.draw(),
    }
}

/// Figure 4: how the functions are learnt at the last probe, and by fresh networks.
fn curves(title: &str, groups: &[&Group]) -> Figure {
    let last = |run: &Run| run.probes.last_key_value().map(|(_, probe)| probe.clone());
    let line = |label: String, curves: Vec<Vec<f64>>| {
        let length = curves.iter().map(Vec::len).min().unwrap_or_default();
        let summary = |at: usize| summarize_complete(curves.iter().map(|curve| Some(curve[at])));
        let points = (0..length).filter_map(|at| Some(dot((at * CURVE) as f64, summary(at)?)));
        Series { label, detail: format!("n = {}", curves.len()), points: points.collect() }
    };
    let probes = |group: &Group| -> Vec<Probe> { group.drawn().iter().filter_map(last).collect() };
    let mut series: Vec<Series> = groups
        .iter()
        .map(|group| line(label(group), probes(group).into_iter().map(|probe| probe.curve).collect()))
        .collect();
    let fresh: Vec<Vec<f64>> =
        probes(groups[0]).into_iter().flat_map(|probe| probe.fresh).map(|network| network.curve).collect();
    if !fresh.is_empty() {
        series.push(line(format!("fresh networks, on inputs of {}", label(groups[0])), fresh));
    }
    let lines = Lines {
        title: title.to_string(),
        vertical: Vertical::Number("squared error of a batch"),
        horizontal: Horizontal::Counted("training steps of the probe"),
        series,
        boundaries: BTreeSet::new(),
    };
    let caption = format!(
        "{title}: how the functions of the last probe are learnt. Mean over the functions, then mean and sample standard \
         deviation over n networks."
    );
    Figure { stem: stem(&["plasticity", "curves", title]), caption, svg: lines.draw() }
}

/// The values of all probes.
fn points_of(title: &str, groups: &[&Group]) -> Sheet {
    let mut columns = LABELS.map(|name| Column::new(name, name, Kind::Text)).to_vec();
    columns.push(Column::new("step", "step", Kind::Count));
    columns.extend(COLUMNS.map(|(name, csv, _)| Column::new(name, csv, Kind::Counted { decimals: 6 })));
    let mut rows = Vec::new();
    for group in groups {
        let values = COLUMNS.map(|(_, _, value)| {
            points(group.drawn(), value).into_iter().collect::<BTreeMap<u64, Summary>>()
        });
        let steps: BTreeSet<u64> = values.iter().flat_map(|value| value.keys().copied()).collect();
        for step in steps {
            let mut row = labels(group);
            row.push(Cell::Count(step as usize));
            row.extend(values.iter().map(|value| Cell::Summary(value.get(&step).copied())));
            rows.push(row);
        }
    }
    Sheet { stem: stem(&["plasticity", title]), caption: String::new(), columns, rows }
}

/// Figure 3: every finished run is a point, its change of plasticity against what is seen of its network.
fn correlations(agents: &[Group]) -> Option<Block> {
    let mut points: BTreeMap<String, Vec<(&Probe, f64)>> = BTreeMap::new();
    for group in agents {
        let of = |key: &str| group.config.get(key).map(show).unwrap_or_default();
        let task = format!("{} on {}", of("environment.task"), of("environment.set"));
        for run in &group.finished {
            if let Some((&step, probe)) = run.probes.last_key_value()
                && let Some(change) = loss(run, step)
            {
                points.entry(task.clone()).or_default().push((probe, change));
            }
        }
    }
    if points.values().map(Vec::len).sum::<usize>() < LEAST {
        return None;
    }
    let of_task = |of: fn(&Probe) -> Option<f64>, task: &str| -> Vec<(f64, f64)> {
        points[task].iter().filter_map(|(probe, change)| Some((of(probe)?, *change))).collect()
    };
    let series: Vec<String> = points.keys().cloned().collect();
    let (mut panels, mut rows) = (Vec::new(), Vec::new());
    for (name, of) in QUANTITIES {
        let mut shown = Vec::new();
        for (index, task) in series.iter().enumerate() {
            let points = of_task(of, task);
            let r = (points.len() >= LEAST).then(|| pearson(&points)).flatten();
            rows.push(vec![
                Cell::Text(name.into()),
                Cell::Text(task.clone()),
                Cell::Count(points.len()),
                Cell::Number(r),
            ]);
            shown.extend(points.into_iter().map(|(x, y)| (x, y, index)));
        }
        let title = format!("n = {}", shown.len());
        panels.push(Panel { title, x_title: name.into(), points: shown });
    }
    let title = "What plasticity goes with".to_string();
    let drawing = Scatter {
        title: "Loss of plasticity against what is seen of the network at the last probe".into(),
        panels,
        y_title: "plasticity minus that of fresh networks".into(),
        series,
    };
    let caption = "Every finished run is a point. The paper finds correlations of both signs, depending on the \
        observations and on the reward.";
    let figure =
        Figure { stem: "plasticity-correlations".into(), caption: caption.into(), svg: drawing.draw() };
    let columns = vec![
        Column::new("quantity", "quantity", Kind::Text),
        Column::new("task", "task", Kind::Text),
        Column::new("runs", "runs", Kind::Count),
        Column::new("Pearson r", "pearson_r", Kind::Number { decimals: 3, signed: true }),
    ];
    let caption =
        "Correlation of the change of plasticity with what is seen of the network, over the runs of a task.";
    let sheet = Sheet { stem: "plasticity-correlations".into(), caption: caption.into(), columns, rows };
    Some(Block { title, figures: vec![figure], sheets: vec![sheet], ..Block::default() })
}
