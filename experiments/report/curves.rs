//! Learning curves: the evaluations of a configuration, averaged over its seeds.

use super::group::Group;
use super::read::{Evaluation, Run};
use super::statistics::{Summary, summarize_complete};
use super::table::{csv_label, csv_line, csv_summary};
use std::collections::BTreeMap;

/// One point of a learning curve; accuracies in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) phase: u64,
    pub(crate) step: u64,
    pub(crate) epoch: f64,
    pub(crate) accuracy: Summary,
    /// Evaluated before the phase took its first step, so still (or again) without training.
    pub(crate) untrained: bool,
    hare: Option<Summary>,
    tortoise: Option<Summary>,
}

/// The points that every run with evaluations has, by phase and step.
pub(crate) fn curve(runs: &[Run]) -> Vec<Point> {
    let evaluated = runs.iter().filter(|run| !run.evaluations.is_empty()).count();
    let mut points: BTreeMap<(u64, u64), Vec<Evaluation>> = BTreeMap::new();
    for run in runs {
        for (key, evaluation) in &run.evaluations {
            points.entry(*key).or_default().push(*evaluation);
        }
    }
    let phase_start = |phase: u64| {
        let before = |run: &Run| run.phase_ends.range(..phase).next_back().map(|(_, step)| *step);
        runs.iter().filter_map(before).max().unwrap_or(0)
    };
    let percent = |values: &[Evaluation], figure: fn(&Evaluation) -> Option<f64>| {
        summarize_complete(values.iter().map(figure)).map(|summary| summary.scaled(100.0))
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

/// The points of all curves, one line each, unrounded.
pub(crate) fn csv(groups: &[&Group]) -> String {
    let header = "experiment,model,method,settings,phase,step,epoch,seeds,test_accuracy_percent_mean,\
                  test_accuracy_percent_std,hare_test_accuracy_percent_mean,hare_test_accuracy_percent_std,\
                  tortoise_test_accuracy_percent_mean,tortoise_test_accuracy_percent_std\n";
    let mut csv = header.to_string();
    for group in groups {
        for point in curve(group.drawn()) {
            let mut line = csv_label(group);
            line.extend([point.phase.to_string(), point.step.to_string(), point.epoch.to_string()]);
            line.push(point.accuracy.n.to_string());
            for summary in [Some(point.accuracy), point.hare, point.tortoise] {
                line.extend(csv_summary(summary));
            }
            csv.push_str(&csv_line(&line));
        }
    }
    csv
}
