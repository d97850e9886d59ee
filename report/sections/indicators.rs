//! Indicators of plasticity against test accuracy: Fig. 8.

use super::{section, stem};
use crate::entry::{Entry, Setup};
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::plots::scatter::{Panel, Scatter};
use crate::read::Run;
use crate::settings::{Protocol, percent};
use crate::statistics::pearson;
use std::collections::{BTreeMap, BTreeSet};

const INTRO: &str = "Each point is a finished run: an indicator at the last evaluation before the last phase, so at the end of \
    the warm start, against the final test accuracy. r is Pearson's correlation over these runs, \
    r = Σ (x − x̄)(y − ȳ) / √( Σ (x − x̄)² · Σ (y − ȳ)² ). Runs of one phase have no warm start and are left out.";

/// The paper's indicators come first, in its order.
const ORDER: [&str; 5] =
    ["weight_magnitude", "weight_distance", "zero_gradient_ratio", "zero_activation_ratio", "srank"];

/// Fewer runs have no correlation.
const LEAST: usize = 3;

/// A run of several phases.
struct Point<'a> {
    /// What it is coloured by.
    series: String,
    entry: &'a Entry<'a>,
    run: &'a Run,
    /// Final test accuracy in percent.
    accuracy: f64,
    indicators: &'a BTreeMap<String, f64>,
}

/// The indicators at the end of the phase before the last.
fn before_last_phase(run: &Run) -> Option<&BTreeMap<String, f64>> {
    let last = run.evaluations.keys().next_back()?.0;
    let (_, evaluation) = run.evaluations.range(..(last, 0)).next_back()?;
    (!evaluation.indicators.is_empty()).then_some(&evaluation.indicators)
}

fn points<'a>(setup: &Setup<'a>, continual: bool) -> Vec<Point<'a>> {
    let chosen: Vec<&Entry<'_>> = setup
        .entries
        .iter()
        .copied()
        .filter(|entry| matches!(entry.settings.protocol(), Protocol::Continual { .. }) == continual)
        // Accuracy on a test set says nothing of random labels.
        .filter(|entry| !entry.settings.values.contains_key("protocol.label_sets"))
        .collect();
    let methods: BTreeSet<String> = chosen.iter().map(|entry| entry.settings.column.clone()).collect();
    let mut points = Vec::new();
    for entry in chosen {
        let series = match entry.settings.protocol() {
            Protocol::WarmStart { noise, .. } if methods.len() == 1 => {
                format!("label noise {}", percent(noise))
            }
            _ => entry.settings.column.clone(),
        };
        for &run in &entry.finished {
            let accuracy = run.result.as_ref().and_then(|result| result.test_accuracy);
            if let (Some(accuracy), Some(indicators)) = (accuracy, before_last_phase(run)) {
                points.push(Point {
                    series: series.clone(),
                    entry,
                    run,
                    accuracy: accuracy * 100.0,
                    indicators,
                });
            }
        }
    }
    points
}

/// A block for each setup whose runs have logged indicators.
pub(crate) fn make(setups: &[Setup<'_>]) -> Option<Section> {
    let mut blocks = Vec::new();
    for setup in setups {
        for continual in [false, true] {
            let points = points(setup, continual);
            if points.len() >= LEAST {
                blocks.push(block(setup, &points));
            }
        }
    }
    section("Indicators of plasticity", INTRO, blocks)
}

fn block(setup: &Setup<'_>, points: &[Point<'_>]) -> Block {
    let series: Vec<String> =
        points.iter().map(|point| point.series.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let indicators: BTreeSet<&String> = points.iter().flat_map(|point| point.indicators.keys()).collect();
    let mut indicators: Vec<&String> = indicators.into_iter().collect();
    indicators.sort_by_key(|name| ORDER.iter().position(|first| name == first).unwrap_or(ORDER.len()));
    let mut panels = Vec::new();
    let mut rows = Vec::new();
    for &indicator in &indicators {
        let value = |point: &Point<'_>| {
            let index = series.iter().position(|name| *name == point.series)?;
            Some((*point.indicators.get(indicator)?, point.accuracy, index))
        };
        let shown: Vec<(f64, f64, usize)> = points.iter().filter_map(value).collect();
        let r = pearson(&shown.iter().map(|point| (point.0, point.1)).collect::<Vec<_>>());
        let name = indicator.replace('_', " ");
        let title = match r {
            Some(r) => format!("r = {} (n = {})", format!("{r:.2}").replace('-', "\u{2212}"), shown.len()),
            None => format!("no r (n = {})", shown.len()),
        };
        rows.push(vec![Cell::Text(indicator.clone()), Cell::Count(shown.len()), Cell::Number(r)]);
        panels.push(Panel { title, x_title: name, points: shown });
    }
    let name = stem(&["indicators", &setup.title]);
    let drawing = Scatter {
        title: format!("Indicators at the end of the warm start: {}", setup.title),
        panels,
        y_title: "final test accuracy [%]".to_string(),
        series,
    };
    let caption = format!("Final test accuracy against indicators of plasticity: {}.", setup.title);
    let figure = Figure { stem: name.clone(), caption, svg: drawing.draw() };
    let columns = vec![
        Column::new("indicator", "indicator", Kind::Text),
        Column::new("runs", "runs", Kind::Count),
        Column::new("Pearson r", "pearson_r", Kind::Number { decimals: 3, signed: true }),
    ];
    let caption = format!("Correlation with the final test accuracy: {}.", setup.title);
    let data = values(points, &indicators, format!("{name}-runs"));
    let sheets = vec![Sheet { stem: name, caption, columns, rows }];
    let paragraphs = if setup.shortened.is_empty() { vec![] } else { vec![setup.note()] };
    Block {
        title: setup.title.clone(),
        paragraphs,
        figures: vec![figure],
        sheets,
        data: vec![data],
        ..Block::default()
    }
}

/// The points, a line for each run.
fn values(points: &[Point<'_>], indicators: &[&String], stem: String) -> Sheet {
    let mut columns = ["method", "protocol"].map(|name| Column::new(name, name, Kind::Text)).to_vec();
    columns.push(Column::new("seed", "seed", Kind::Figures));
    let number = Kind::Number { decimals: 4, signed: false };
    columns.push(Column::new("test accuracy [%]", "test_accuracy_percent", number));
    columns.extend(indicators.iter().map(|name| Column::new(name.as_str(), name.as_str(), number)));
    let row = |point: &Point<'_>| {
        let settings = &point.entry.settings;
        let mut row = vec![Cell::Text(settings.column.clone()), Cell::Text(settings.protocol().describe())];
        row.extend([Cell::Text(point.run.seed.to_string()), Cell::Number(Some(point.accuracy))]);
        row.extend(indicators.iter().map(|name| Cell::Number(point.indicators.get(*name).copied())));
        row
    };
    let rows = points.iter().map(row).collect();
    Sheet { stem, caption: String::new(), columns, rows }
}
