//! Continual learning: Fig. 6.

use super::curves::{Curve, learning_curves};
use super::{POINTS, chosen, section, stem, unfinished};
use crate::entry::{Column as Method, Entry, Setup, columns};
use crate::output::{Block, Cell, Column, Figure, Kind, Section, Sheet};
use crate::read::Run;
use crate::settings::Protocol;
use crate::statistics::{Summary, summarize_complete};
use std::collections::BTreeMap;

const INTRO: &str = "Test accuracy while the data arrives in phases. Final: after the last phase. Average: the mean over the \
    phases of the accuracy at their ends. Online: the mean over all evaluations. Drop: accuracy at the end of a phase minus \
    that at the beginning of the next one, after whatever a method does between phases; its mean and its largest value over \
    the phases. A negative drop is a gain. Of a method that ran with several strengths the one with the best mean final \
    accuracy is shown.";

/// Accuracy at the first and last evaluation of each phase, as fractions.
struct Phases(Vec<(f64, f64)>);

impl Phases {
    /// `None` for a run that has not been evaluated twice in each phase.
    fn of(run: &Run) -> Option<Phases> {
        let mut phases: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for ((phase, _), evaluation) in &run.evaluations {
            phases.entry(*phase).or_default().push(evaluation.test_accuracy);
        }
        let ends = phases
            .into_values()
            .map(|values| (values.len() > 1).then(|| (values[0], values[values.len() - 1])));
        Some(Phases(ends.collect::<Option<Vec<_>>>()?)).filter(|phases| !phases.0.is_empty())
    }

    fn average(&self) -> f64 {
        self.0.iter().map(|phase| phase.1).sum::<f64>() / self.0.len() as f64
    }

    fn drops(&self) -> impl Iterator<Item = f64> {
        self.0.windows(2).map(|pair| pair[0].1 - pair[1].0)
    }

    fn mean_drop(&self) -> Option<f64> {
        let count = self.0.len().saturating_sub(1);
        (count > 0).then(|| self.drops().sum::<f64>() / count as f64)
    }

    fn largest_drop(&self) -> Option<f64> {
        self.drops().max_by(f64::total_cmp)
    }
}

fn online(run: &Run) -> Option<f64> {
    let count = run.evaluations.len();
    let sum: f64 = run.evaluations.values().map(|evaluation| evaluation.test_accuracy).sum();
    (count > 0).then(|| sum / count as f64)
}

fn over_seeds(entry: &Entry<'_>, figure: impl Fn(&Run) -> Option<f64>) -> Option<Summary> {
    summarize_complete(entry.finished.iter().map(|run| figure(run))).map(|summary| summary.scaled(100.0))
}

/// A block for each setup and stream of data.
pub(crate) fn make(setups: &[Setup<'_>]) -> Option<Section> {
    let mut blocks = Vec::new();
    for setup in setups {
        let mut streams: Vec<(String, Protocol, Vec<&Entry<'_>>)> = Vec::new();
        for &entry in &setup.entries {
            let protocol = entry.settings.protocol();
            if !matches!(protocol, Protocol::Continual { .. }) {
                continue;
            }
            let value =
                |key: &str| entry.settings.values.get(key).map(ToString::to_string).unwrap_or_default();
            let key = [
                "protocol.ratios",
                "protocol.noise",
                "protocol.buffer",
                "protocol.buffer_order",
                "data.augment",
            ]
            .map(value)
            .join(" ");
            match streams.iter_mut().find(|(other, _, _)| *other == key) {
                Some((_, _, entries)) => entries.push(entry),
                None => streams.push((key, protocol, vec![entry])),
            }
        }
        for (_, protocol, entries) in streams {
            if let Protocol::Continual { phases, .. } = protocol {
                blocks.push(block(setup, &protocol, phases, &columns(entries)));
            }
        }
    }
    section("Continual learning", INTRO, blocks)
}

fn block(setup: &Setup<'_>, protocol: &Protocol, phases: usize, methods: &[Method<'_>]) -> Block {
    let title = format!("{}: {}", setup.title, protocol.describe());
    let name = stem(&["continual", &setup.title, &protocol.describe()]);
    let names = ["final", "average", "online", "mean drop", "largest drop"];
    let mut columns = vec![
        Column::new("method", "method", Kind::Text),
        Column::new("with", "with", Kind::Text),
        Column::new("seeds", "seeds", Kind::Count),
    ];
    columns
        .extend(names.map(|name| Column::new(name, format!("{}_percent", name.replace(' ', "_")), POINTS)));
    let row = |method: &Method<'_>| {
        let entry = method.best;
        let mut row =
            vec![Cell::Text(method.name.clone()), chosen(method), Cell::Count(entry.finished.len())];
        row.push(Cell::Summary(entry.test()));
        row.push(Cell::Summary(over_seeds(entry, |run| Some(Phases::of(run)?.average()))));
        row.push(Cell::Summary(over_seeds(entry, online)));
        row.push(Cell::Summary(over_seeds(entry, |run| Phases::of(run)?.mean_drop())));
        row.push(Cell::Summary(over_seeds(entry, |run| Phases::of(run)?.largest_drop())));
        row
    };
    let caption = "Accuracies in percent, drops in percentage points; mean ± sample standard deviation over the seeds; their \
                   number n is under seeds.";
    let rows = methods.iter().map(row).collect();
    let mut summary = Sheet { stem: name.clone(), caption: caption.to_string(), columns, rows };
    summary.drop_empty_columns();

    let curves = methods.iter().map(|method| {
        let detail = method
            .best
            .test()
            .map_or("unfinished".to_string(), |test| format!("final {} % (n = {})", test.show(2), test.n));
        Curve { label: method.name.clone(), detail, runs: method.best.drawn() }
    });
    let figure = Figure {
        stem: name.clone(),
        caption: format!(
            "Test accuracy over the phases: {title}. Mean and sample standard deviation over the n seeds. The drops at the ends of phases are what methods do there."
        ),
        svg: learning_curves(&title, &curves.collect::<Vec<_>>(), true).draw(),
    };
    let phases = phases_sheet(methods, phases, format!("{name}-phases"));
    let paragraphs =
        [setup.note(), unfinished(methods)].into_iter().filter(|text| !text.is_empty()).collect();
    Block { title, paragraphs, figures: vec![figure], sheets: vec![summary, phases], ..Block::default() }
}

/// Accuracy at the end of each phase.
fn phases_sheet(methods: &[Method<'_>], count: usize, stem: String) -> Sheet {
    let mut columns =
        vec![Column::new("method", "method", Kind::Text), Column::new("seeds", "seeds", Kind::Count)];
    columns.extend(
        (1..=count)
            .map(|phase| Column::new(format!("phase {phase}"), format!("phase_{phase}_percent"), POINTS)),
    );
    let row = |method: &Method<'_>| {
        let mut row = vec![Cell::Text(method.name.clone()), Cell::Count(method.best.finished.len())];
        let end = |phase: usize| over_seeds(method.best, |run| Some(Phases::of(run)?.0.get(phase)?.1));
        row.extend((0..count).map(|phase| Cell::Summary(end(phase))));
        row
    };
    let rows = methods.iter().map(row).collect();
    let caption =
        "Test accuracy in percent at the end of each phase: mean ± sample standard deviation over the seeds."
            .to_string();
    Sheet { stem, caption, columns, rows }
}
