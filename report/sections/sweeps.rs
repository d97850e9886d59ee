//! Sweeps of numbers of the optimiser and of methods: Fig. 3 and Fig. 9.

use super::{section, stem};
use crate::entry::{Entry, differences};
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::plots::heat_map::{HeatMap, Panel, Value};
use crate::plots::lines::{Horizontal, Lines, Point, Series, Vertical};
use crate::settings::{Settings, brief, name_of, number};
use std::collections::{BTreeMap, BTreeSet};

const INTRO: &str = "Final test accuracy against numbers of the optimiser or of a method, all else equal. One number is a line; \
    two are a heat map; where at most half of the combinations ran, there is a line for each number, with the others at the values \
    that occur most.";

fn is_swept(key: &str, value: &toml::Value) -> bool {
    (key.starts_with("optimizer.") || key.starts_with("intervention.")) && number(value).is_some()
}

/// A number as it is written in a config.
fn value(entry: &Entry<'_>, key: &str) -> Option<f64> {
    entry.settings.number(key)
}

/// Configurations that differ in numbers only, and the keys of these with their values, ascending.
struct Sweep<'a> {
    entries: Vec<&'a Entry<'a>>,
    keys: Vec<(String, Vec<f64>)>,
}

fn sweeps<'a>(entries: &'a [Entry<'a>]) -> Vec<Sweep<'a>> {
    // A key that is not written at its default may be missing: those that have it are a family of their own.
    let mut families: BTreeMap<Vec<(&String, Option<String>)>, Vec<&Entry<'_>>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.test().is_some()) {
        let fixed = |(key, value): (&'a String, &toml::Value)| {
            (key, (!is_swept(key, value)).then(|| value.to_string()))
        };
        families.entry(entry.settings.values.iter().map(fixed).collect()).or_default().push(entry);
    }
    let sweep = |entries: Vec<&'a Entry<'a>>| {
        let names: BTreeSet<&String> =
            entries.iter().flat_map(|entry| entry.settings.values.keys()).collect();
        let mut keys = Vec::new();
        for key in names
            .into_iter()
            .filter(|key| entries[0].settings.values.get(*key).is_some_and(|value| is_swept(key, value)))
        {
            let mut values: Vec<f64> = entries.iter().filter_map(|entry| value(entry, key)).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            if values.len() > 1 {
                keys.push((key.clone(), values));
            }
        }
        (!keys.is_empty()).then_some(Sweep { entries, keys })
    };
    families.into_values().filter_map(sweep).collect()
}

/// A block for each sweep.
pub(crate) fn make(entries: &[Entry<'_>]) -> Option<Section> {
    let sweeps = sweeps(entries);
    let titles = titles(&sweeps);
    section("Sweeps", INTRO, sweeps.iter().zip(&titles).map(|(sweep, title)| block(sweep, title)).collect())
}

/// Data, model, method and protocol, and where these are equal what else tells sweeps apart.
fn titles(sweeps: &[Sweep<'_>]) -> Vec<String> {
    let settings: Vec<&Settings> = sweeps.iter().map(|sweep| &sweep.entries[0].settings).collect();
    let title = |settings: &&Settings| {
        format!("{}, {}: {}", settings.pair(), settings.column.clone(), settings.protocol().describe())
    };
    let names: Vec<String> = settings.iter().map(title).collect();
    let mut titles = names.clone();
    for name in names.iter().collect::<BTreeSet<_>>() {
        let alike: Vec<usize> = (0..names.len()).filter(|&index| names[index] == *name).collect();
        let all: Vec<&Settings> = alike.iter().map(|&index| settings[index]).collect();
        let fixed = |key: &str| !all[0].values.get(key).is_some_and(|value| is_swept(key, value));
        for (index, words) in alike.into_iter().zip(differences(&all, fixed)) {
            if !words.is_empty() {
                titles[index].push_str(&format!("; {words}"));
            }
        }
    }
    titles
}

fn block(sweep: &Sweep<'_>, title: &str) -> Block {
    let settings = &sweep.entries[0].settings;
    let names: Vec<&str> = sweep.keys.iter().map(|(key, _)| key.as_str()).collect();
    let short: Vec<&str> = names.iter().map(|name| name_of(name)).collect();
    let name = stem(&["sweep", &short.join("-"), title]);
    // A random search has more combinations than there are numbers.
    let full = sweep.keys.iter().fold(1_usize, |full, (_, values)| full.saturating_mul(values.len()));
    let counts = || sweep.entries.iter().map(|entry| entry.finished.len());
    let n = match (counts().min().unwrap_or(0), counts().max().unwrap_or(0)) {
        (least, most) if least == most => most.to_string(),
        (least, most) => format!("{least} to {most}"),
    };
    let spread = format!(" Mean ± sample standard deviation over n = {n} seeds.");
    let mut figures = Vec::new();
    if sweep.keys.len() > 1 && sweep.entries.len() > full / 2 {
        let caption =
            format!("Final test accuracy in percent against {}: {title}.{spread}", short.join(" and "));
        figures.push(Figure { stem: name.clone(), caption, svg: heat_map(sweep, title).draw() });
    } else {
        for (key, values) in &sweep.keys {
            let key_name = name_of(key);
            let caption = format!("Final test accuracy against {key_name}: {title}.{spread}");
            let stem = if sweep.keys.len() > 1 { format!("{name}-{key_name}") } else { name.clone() };
            figures.push(Figure { stem, caption, svg: line(sweep, key, values, title).draw() });
        }
    }
    let mut columns: Vec<Column> =
        names.iter().map(|name| Column::new(name_of(name), *name, Kind::Figures)).collect();
    columns.push(Column::new("test accuracy [%]", "test_accuracy_percent", Kind::Counted { decimals: 2 }));
    columns.push(Column::new("seeds", "seeds", Kind::Count));
    let mut sorted = sweep.entries.clone();
    sorted.sort_by(|a, b| {
        let compare = |key: &&str| value(a, key).unwrap_or(0.0).total_cmp(&value(b, key).unwrap_or(0.0));
        names.iter().map(compare).fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    let row = |entry: &&Entry<'_>| {
        let number = |key: &&str| Cell::Text(value(entry, key).map(brief).unwrap_or_default());
        let mut row: Vec<Cell> = names.iter().map(number).collect();
        row.extend([Cell::Summary(entry.test()), Cell::Count(entry.finished.len())]);
        row
    };
    let rows = sorted.iter().map(row).collect();
    let sheet =
        Sheet { stem: name, caption: format!("Final test accuracy: {title}.{spread}"), columns, rows };
    let shortened = settings.shortened();
    let note =
        if shortened.is_empty() { vec![] } else { vec![format!("Shortened: {}.", shortened.join(", "))] };
    Block {
        title: format!("{title}, by {}", short.join(", ")),
        paragraphs: note,
        figures,
        sheets: vec![sheet],
        ..Block::default()
    }
}

/// The first two keys against each other, in a panel for each combination of the others.
fn heat_map(sweep: &Sweep<'_>, title: &str) -> HeatMap {
    // The longest axis to the right, where there is room.
    let mut keys: Vec<&(String, Vec<f64>)> = sweep.keys.iter().collect();
    keys.sort_by_key(|(_, values)| std::cmp::Reverse(values.len()));
    let ((column_key, columns), (row_key, rows)) = (keys[0], keys[1]);
    let others = &keys[2..];
    let mut panels: BTreeMap<String, Panel> = BTreeMap::new();
    for entry in &sweep.entries {
        let words: Vec<String> = others
            .iter()
            .filter_map(|(key, _)| Some(format!("{} = {}", name_of(key), brief(value(entry, key)?))))
            .collect();
        let title = words.join(", ");
        let empty = || Panel { title: title.clone(), cells: vec![vec![None; columns.len()]; rows.len()] };
        let panel = panels.entry(title.clone()).or_insert_with(empty);
        let place = |values: &[f64], key: &str| {
            let value = value(entry, key)?;
            values.iter().position(|listed| *listed == value)
        };
        if let (Some(row), Some(column)) = (place(rows, row_key), place(columns, column_key)) {
            panel.cells[row][column] = entry.test().map(|test| Value { mean: test.mean, std: test.std });
        }
    }
    let labels = |values: &[f64]| values.iter().copied().map(brief).collect();
    HeatMap {
        title: title.to_string(),
        panels: panels.into_values().collect(),
        rows: (name_of(row_key).to_string(), labels(rows)),
        columns: (name_of(column_key).to_string(), labels(columns)),
        quantity: "test accuracy [%]".to_string(),
    }
}

/// Accuracy against one key, with the others at the values that occur most.
fn line(sweep: &Sweep<'_>, key: &str, values: &[f64], title: &str) -> Lines {
    let mut fixed = Vec::new();
    for (other, values) in sweep.keys.iter().filter(|(other, _)| other != key) {
        let count =
            |listed: f64| sweep.entries.iter().filter(|entry| value(entry, other) == Some(listed)).count();
        // The first of equals.
        let most = values.iter().rev().copied().max_by_key(|listed| count(*listed));
        fixed.extend(most.map(|most| (other, most)));
    }
    let mut points = Vec::new();
    for (index, listed) in values.iter().enumerate() {
        let matches = |entry: &&&Entry<'_>| {
            value(entry, key) == Some(*listed)
                && fixed.iter().all(|(other, most)| value(entry, other) == Some(*most))
        };
        if let Some(test) = sweep.entries.iter().find(matches).and_then(|entry| entry.test()) {
            points.push(Point { x: index as f64, mean: test.mean, std: test.std, shown: true });
        }
    }
    let words: Vec<String> =
        fixed.iter().map(|(other, most)| format!("{} = {}", name_of(other), brief(*most))).collect();
    let series = Series { label: sweep.entries[0].settings.column.clone(), detail: words.join(", "), points };
    Lines {
        title: title.to_string(),
        vertical: Vertical::Percent("test accuracy [%]"),
        horizontal: Horizontal::Labels(name_of(key).to_string(), values.iter().copied().map(brief).collect()),
        series: vec![series],
        boundaries: BTreeSet::new(),
    }
}
