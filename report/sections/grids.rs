//! Grids over subset ratio and label noise: Fig. 2, tables 4 and 5.

use super::{DIFFERENCE, section, stem};
use crate::entry::{Column as Method, Entry, Setup, columns};
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::plots::heat_map::{HeatMap, Panel, Value};
use crate::published::{self, Accuracy};
use crate::settings::{Protocol, percent};
use std::collections::BTreeMap;

const INTRO: &str = "Final accuracy against the share of the images in the first phase (subset ratio) and the share of \
    their labels that are wrong (label noise); the second phase has all images with their true labels. Differences are \
    ours minus the paper's, in percentage points; the paper has numbers for the plain warm start, WS, to two digits.";

/// Fewer conditions are no grid.
const LEAST: usize = 3;

/// The methods at each ratio and noise, in parts per million, so that the keys have an order.
type Grid<'a> = BTreeMap<(u64, u64), Vec<Method<'a>>>;

fn key(share: f64) -> u64 {
    (share * 1e6).round() as u64
}

fn share(key: u64) -> f64 {
    key as f64 / 1e6
}

/// A block for each setup with a grid.
pub(crate) fn make(setups: &[Setup<'_>]) -> Option<Section> {
    let mut blocks = Vec::new();
    for setup in setups {
        // Grids whose last phases differ in length are not mixed.
        let mut by_length: BTreeMap<&str, BTreeMap<(u64, u64), Vec<&Entry<'_>>>> = BTreeMap::new();
        for entry in &setup.entries {
            if let Protocol::WarmStart { ratio, noise } = entry.settings.protocol() {
                let length = entry.settings.text("protocol.last_phase").unwrap_or_default();
                let cells = by_length.entry(length).or_default();
                cells.entry((key(ratio), key(noise))).or_default().push(entry);
            }
        }
        for cells in by_length.into_values().filter(|cells| cells.len() >= LEAST) {
            let grid = cells.into_iter().map(|(at, entries)| (at, columns(entries))).collect();
            blocks.push(block(setup, &grid));
        }
    }
    section("Subset ratio and label noise", INTRO, blocks)
}

fn block(setup: &Setup<'_>, grid: &Grid<'_>) -> Block {
    let mut names: Vec<&str> = Vec::new();
    for method in grid.values().flatten() {
        if !names.contains(&method.name.as_str()) {
            names.push(&method.name);
        }
    }
    let mut figures = Vec::new();
    let mut sheets = Vec::new();
    for (accuracy, word, table) in
        [(Accuracy::Test, "test", "Table 5"), (Accuracy::Train, "train", "Table 4")]
    {
        let name = stem(&["grid", word, &setup.title]);
        if let Some(map) = heat_map(setup, grid, &names, accuracy, word) {
            let caption = format!(
                "Final {word} accuracy in percent ({}): mean over seeds and, below it, the sample standard deviation.{}",
                setup.title,
                seeds(grid)
            );
            figures.push(Figure { stem: name.clone(), caption, svg: map.draw() });
        }
        let caption = format!(
            "{table}: final {word} accuracy in percent, {}. Mean ± sample standard deviation.{}",
            setup.title,
            seeds(grid)
        );
        sheets.push(sheet(
            setup,
            grid,
            &names,
            accuracy,
            Sheet { stem: name, caption, columns: vec![], rows: vec![] },
        ));
    }
    let several = grid.values().flatten().any(|method| method.of > 1);
    let note =
        "Where a method ran with several strengths, each cell shows the best of them by mean test accuracy.";
    let paragraphs = [setup.note(), if several { note.to_string() } else { String::new() }];
    let paragraphs = paragraphs.into_iter().filter(|text| !text.is_empty()).collect();
    Block { title: setup.title.clone(), paragraphs, figures, sheets, ..Block::default() }
}

/// How many seeds a cell has.
fn seeds(grid: &Grid<'_>) -> String {
    let counts = || grid.values().flatten().map(|method| method.best.finished.len());
    match (counts().min(), counts().max()) {
        (Some(least), Some(most)) if least == most => format!(" Seeds in each cell: n = {most}."),
        (Some(least), Some(most)) => format!(" Seeds in a cell: n = {least} to {most}."),
        _ => String::new(),
    }
}

fn accuracy_of(method: &Method<'_>, accuracy: Accuracy) -> Option<crate::statistics::Summary> {
    match accuracy {
        Accuracy::Train => method.best.train(),
        Accuracy::Test => method.best.test(),
    }
}

/// Nothing without a finished cell.
fn heat_map(
    setup: &Setup<'_>,
    grid: &Grid<'_>,
    names: &[&str],
    accuracy: Accuracy,
    word: &str,
) -> Option<HeatMap> {
    let mut ratios: Vec<u64> = grid.keys().map(|at| at.0).collect();
    let mut noises: Vec<u64> = grid.keys().map(|at| at.1).collect();
    ratios.dedup();
    noises.sort_unstable();
    noises.dedup();
    let panel = |title: String, value: &dyn Fn((u64, u64)) -> Option<Value>| {
        let row = |&ratio: &u64| noises.iter().map(|&noise| value((ratio, noise))).collect();
        Panel { title, cells: ratios.iter().map(row).collect() }
    };
    let mut panels: Vec<Panel> = Vec::new();
    for name in names {
        panels.push(panel((*name).to_string(), &|at| {
            let method = grid.get(&at)?.iter().find(|method| method.name == *name)?;
            accuracy_of(method, accuracy).map(|summary| Value { mean: summary.mean, std: summary.std })
        }));
    }
    panels.retain(|panel| panel.cells.iter().flatten().any(Option::is_some));
    if panels.is_empty() {
        return None;
    }
    // On one scale with runs of another length the paper's numbers would hide all differences.
    let settings = &setup.entries[0].settings;
    if setup.shortened.is_empty() && names.contains(&"WS") {
        let paper = panel("WS, paper".to_string(), &|at| {
            let (ratio, noise) = (share(at.0), share(at.1));
            let number = published::warm_start(accuracy, settings.set(), settings.model(), ratio, noise)?;
            Some(Value { mean: number.mean * 100.0, std: number.spread.map(|spread| spread * 100.0) })
        });
        if paper.cells.iter().flatten().any(Option::is_some) {
            panels.insert(1, paper);
        }
    }
    let labels = |keys: &[u64]| keys.iter().map(|&key| percent(share(key))).collect();
    Some(HeatMap {
        title: format!("Final {word} accuracy: {}", setup.title),
        panels,
        rows: ("subset ratio".to_string(), labels(&ratios)),
        columns: ("label noise".to_string(), labels(&noises)),
        quantity: format!("{word} accuracy [%]"),
    })
}

/// A line for each cell, in the paper's order.
fn sheet(setup: &Setup<'_>, grid: &Grid<'_>, names: &[&str], accuracy: Accuracy, empty: Sheet) -> Sheet {
    let settings = &setup.entries[0].settings;
    let paper = |at: (u64, u64)| {
        let number =
            published::warm_start(accuracy, settings.set(), settings.model(), share(at.0), share(at.1))?;
        Some(number.mean * 100.0)
    };
    let compared = names.contains(&"WS") && grid.keys().any(|&at| paper(at).is_some());
    let mut columns = vec![
        Column::new("subset ratio", "subset_ratio", Kind::Figures),
        Column::new("label noise", "label_noise", Kind::Figures),
    ];
    for name in names {
        columns.push(Column::new(*name, *name, Kind::Counted { decimals: 2 }));
        if *name == "WS" && compared {
            columns.push(Column::new("WS, paper", "WS_paper", Kind::Number { decimals: 0, signed: false }));
            columns.push(Column::new("difference", "WS_difference", DIFFERENCE));
        }
    }
    let mut rows = Vec::new();
    for (&at, methods) in grid {
        let mut row = vec![Cell::Text(share(at.0).to_string()), Cell::Text(share(at.1).to_string())];
        for name in names {
            let method = methods.iter().find(|method| method.name == *name);
            let ours = method.and_then(|method| accuracy_of(method, accuracy));
            row.push(Cell::Summary(ours));
            if *name == "WS" && compared {
                let difference = ours.zip(paper(at)).map(|(ours, paper)| ours.mean - paper);
                row.extend([Cell::Number(paper(at)), Cell::Number(difference)]);
            }
        }
        rows.push(row);
    }
    Sheet { columns, rows, ..empty }
}
