//! Methods compared after a warm start: Fig. 4, Fig. 5, tables 6 and 7.

use super::{DIFFERENCE, FAMILIES, POINTS, chosen, section, stem, unfinished};
use crate::entry::{Column as Method, Entry, Setup, columns};
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::plots::bars::{Bar, Bars};
use crate::published::{self, Accuracy, Number};
use crate::settings::{Protocol, Settings};
use std::collections::BTreeSet;

const INTRO: &str = "Final accuracy of methods on the same data, network, optimiser and length. Of a method that ran with \
    several strengths the one with the best mean test accuracy is shown, as in the paper, and named with how many there \
    were: such a mean is too good by the choice. WS is a plain warm start, w/o WS is fresh training. Differences are ours \
    minus the paper's, in percentage points.";

/// A first phase, and the configurations that had it together with those that had none.
pub(super) struct Condition<'a> {
    pub(super) protocol: Protocol,
    pub(super) entries: Vec<&'a Entry<'a>>,
}

/// The number of the paper for a method after a first phase.
fn number(accuracy: Accuracy, settings: &Settings, protocol: &Protocol) -> Option<Number> {
    let (set, model, column) = (settings.set(), settings.model(), settings.column.clone());
    // Fresh runs have the same column everywhere.
    let at_table =
        settings.protocol() == Protocol::Fresh || *protocol == Protocol::WarmStart { ratio: 0.1, noise: 0.5 };
    let in_table = at_table.then(|| published::method(accuracy, set, model, &column)).flatten();
    in_table.or_else(|| match protocol {
        Protocol::WarmStart { ratio, noise } if column == "WS" => {
            published::warm_start(accuracy, set, model, *ratio, *noise)
        }
        _ => None,
    })
}

/// The conditions of a setup; just fresh runs are one.
fn conditions<'a>(setup: &Setup<'a>) -> Vec<Condition<'a>> {
    let length =
        |entry: &Entry<'_>| entry.settings.text("protocol.last_phase").unwrap_or_default().to_string();
    let fresh = || setup.entries.iter().copied().filter(|entry| entry.settings.protocol() == Protocol::Fresh);
    let mut conditions: Vec<(String, Condition<'a>)> = Vec::new();
    for &entry in &setup.entries {
        let protocol = entry.settings.protocol();
        if matches!(protocol, Protocol::WarmStart { .. }) {
            let key = length(entry);
            match conditions
                .iter_mut()
                .find(|(other, condition)| *other == key && condition.protocol == protocol)
            {
                Some((_, condition)) => condition.entries.push(entry),
                None => conditions.push((key, Condition { protocol, entries: vec![entry] })),
            }
        }
    }
    for (_, condition) in &mut conditions {
        condition.entries.extend(fresh());
    }
    if conditions.is_empty() && fresh().next().is_some() {
        return vec![Condition { protocol: Protocol::Fresh, entries: fresh().collect() }];
    }
    conditions.into_iter().map(|(_, condition)| condition).collect()
}

/// The section, if there are two methods to compare or a number of the paper.
pub(crate) fn make(setups: &[Setup<'_>]) -> Option<Section> {
    let mut blocks = Vec::new();
    let mut rows = Vec::new();
    for setup in setups {
        let conditions = conditions(setup);
        // Where there is a grid of conditions, the grids' section has all but the one of tables 6 and 7.
        let is_grid = conditions.len() > 2;
        for condition in conditions {
            let table = condition.protocol == Protocol::WarmStart { ratio: 0.1, noise: 0.5 };
            let methods = columns(condition.entries.iter().copied());
            let known = methods
                .iter()
                .any(|m| number(Accuracy::Test, &m.best.settings, &condition.protocol).is_some());
            let alone = methods.len() < 2 && (setup.is_swept || !known);
            if is_grid && !table || alone {
                continue;
            }
            if table || condition.protocol == Protocol::Fresh && known {
                rows.push((setup, condition.protocol.clone(), columns(condition.entries.iter().copied())));
            }
            blocks.push(block(setup, &condition.protocol, &methods));
        }
    }
    if rows.iter().any(|(_, _, methods)| methods.len() > 1) {
        blocks.insert(0, papers_layout(&rows));
    }
    section("Comparison of methods", INTRO, blocks)
}

fn block(setup: &Setup<'_>, protocol: &Protocol, methods: &[Method<'_>]) -> Block {
    let title = format!("{}: {}", setup.title, protocol.describe());
    let name = stem(&["methods", &setup.title, &protocol.describe()]);
    let percent = |accuracy, method: &Method<'_>| {
        number(accuracy, &method.best.settings, protocol).map(|number| number.mean * 100.0)
    };
    let mut sheet = Sheet {
        stem: name.clone(),
        caption: "Final accuracy in percent, mean ± sample standard deviation over the seeds; their number n is under seeds.".to_string(),
        columns: vec![
            Column::new("method", "method", Kind::Text),
            Column::new("with", "with", Kind::Text),
            Column::new("best of", "configurations", Kind::Count),
            Column::new("seeds", "seeds", Kind::Count),
            Column::new("test", "test_accuracy_percent", POINTS),
            Column::new("paper", "test_accuracy_percent_paper", Kind::Number { decimals: 1, signed: false }),
            Column::new("difference", "test_accuracy_difference", DIFFERENCE),
            Column::new("train", "train_accuracy_percent", POINTS),
            Column::new("paper", "train_accuracy_percent_paper", Kind::Number { decimals: 1, signed: false }),
            Column::new("difference", "train_accuracy_difference", DIFFERENCE),
        ],
        rows: Vec::new(),
    };
    let mut bars = Vec::new();
    for method in methods {
        let mut row = vec![Cell::Text(method.name.clone()), Cell::Text(method.with.clone())];
        row.extend([Cell::Count(method.of), Cell::Count(method.best.finished.len())]);
        for (ours, accuracy) in [(method.best.test(), Accuracy::Test), (method.best.train(), Accuracy::Train)]
        {
            let paper = percent(accuracy, method);
            let difference = ours.zip(paper).map(|(ours, paper)| ours.mean - paper);
            row.extend([Cell::Summary(ours), Cell::Number(paper), Cell::Number(difference)]);
        }
        sheet.rows.push(row);
        if let Some(test) = method.best.test() {
            let label = match chosen(method) {
                Cell::Text(words) if !words.is_empty() => format!("{}, {words}", method.name),
                _ => method.name.clone(),
            };
            let family = FAMILIES.iter().position(|(class, _, _)| *class == method.class).unwrap_or(0);
            let published = percent(Accuracy::Test, method);
            bars.push(Bar {
                label,
                family,
                mean: test.mean,
                std: test.std,
                seeds: method.best.seeds(),
                published,
            });
        }
    }
    sheet.drop_empty_columns();
    let mut references = Vec::new();
    for name in ["WS", "w/o WS"] {
        let found = methods.iter().find(|method| method.name == name).and_then(|method| method.best.test());
        references.extend(found.map(|test| (test.mean, name.to_string())));
    }
    let mut figures = Vec::new();
    if bars.len() > 1 {
        let families = FAMILIES.map(|(_, name, color)| (name, color)).to_vec();
        // Of runs of another length the paper's numbers are too far away.
        let marks = setup.shortened.is_empty();
        let drawing = Bars { title: title.clone(), bars, families, marks, references };
        let caption = format!(
            "Final test accuracy of methods: {title}. Mean ± sample standard deviation over the n seeds; dots are seeds. \
             Dashed lines are the plain warm start (WS) and fresh training (w/o WS)."
        );
        figures.push(Figure { stem: name, caption, svg: drawing.draw() });
    }
    let paragraphs =
        [setup.note(), unfinished(methods)].into_iter().filter(|text| !text.is_empty()).collect();
    Block { title, paragraphs, figures, sheets: vec![sheet], ..Block::default() }
}

/// Tables 6 and 7 as the paper has them: a line for each data set and model, a column for each method.
fn papers_layout(rows: &[(&Setup<'_>, Protocol, Vec<Method<'_>>)]) -> Block {
    let mut names: Vec<String> = published::COLUMNS.map(str::to_string).to_vec();
    let known: BTreeSet<String> = names.iter().cloned().collect();
    for method in rows.iter().flat_map(|(_, _, methods)| methods) {
        if !known.contains(&method.name) && !names.contains(&method.name) {
            names.push(method.name.clone());
        }
    }
    let sheet = |accuracy: Accuracy, stem: &str, caption: &str| {
        let mut columns =
            vec![Column::new("data set, model", "pair", Kind::Text), Column::new("", "figure", Kind::Text)];
        columns.extend(names.iter().map(|name| Column::new(name, name, Kind::Figures)));
        let mut sheet =
            Sheet { stem: stem.to_string(), caption: caption.to_string(), columns, rows: Vec::new() };
        for (setup, protocol, methods) in rows {
            let figures = ["ours", "seeds", "paper", "difference"];
            let mut lines =
                figures.map(|figure| vec![Cell::Text(setup.title.clone()), Cell::Text(figure.to_string())]);
            for name in &names {
                let method = methods.iter().find(|method| method.name == *name);
                let ours = method.and_then(|method| match accuracy {
                    Accuracy::Train => method.best.train(),
                    Accuracy::Test => method.best.test(),
                });
                let settings = &setup.entries[0].settings;
                let paper = match method {
                    Some(method) => number(accuracy, &method.best.settings, protocol),
                    None => published::method(accuracy, settings.set(), settings.model(), name),
                };
                let paper = paper.map(|paper| paper.mean * 100.0);
                let difference = ours.zip(paper).map(|(ours, paper)| ours.mean - paper);
                let nothing = String::new;
                let shown = Column::new("", "", DIFFERENCE);
                let shown = difference.map_or_else(nothing, |points| shown.show(&Cell::Number(Some(points))));
                let texts = [
                    ours.map_or_else(nothing, |ours| ours.show(2)),
                    ours.map_or_else(nothing, |ours| ours.n.to_string()),
                    paper.map_or_else(nothing, |paper| format!("{paper:.1}")),
                    shown,
                ];
                for (line, text) in lines.iter_mut().zip(texts) {
                    line.push(Cell::Text(text));
                }
            }
            sheet.rows.extend(lines);
        }
        sheet.drop_empty_columns();
        sheet
    };
    let test = sheet(
        Accuracy::Test,
        "table-7",
        "Table 7: final test accuracy in percent. Ours is mean ± sample standard deviation, n in the line below it; \
         difference is ours minus the paper's.",
    );
    let train = sheet(
        Accuracy::Train,
        "table-6",
        "Table 6: final train accuracy in percent. Ours is mean ± sample standard deviation, n in the line below it; \
         difference is ours minus the paper's.",
    );
    let shortened = rows.iter().any(|(setup, _, _)| !setup.shortened.is_empty());
    let note = "Rows marked as shortened are smaller or shorter than the paper's experiments, whose numbers are published at \
                full length.";
    let paragraphs = if shortened { vec![note.to_string()] } else { Vec::new() };
    let title = "Tables 6 and 7: warm start on 10 % of the images with 50 % wrong labels".to_string();
    Block { title, paragraphs, sheets: vec![test, train], ..Block::default() }
}
