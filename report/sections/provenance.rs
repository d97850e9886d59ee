//! Where the numbers come from: versions, devices, revisions and data, where they are not all the same.

use crate::group::{Comparison, Group, alike};
use crate::read::Run;
use crate::result::RunResult;
use std::collections::{BTreeMap, BTreeSet};

/// Origins of data that need no word: the program's own names for them.
const KNOWN_DATA: [&str; 2] = ["the published files", "built in"];

/// Notes by title; those without lines have nothing to say.
pub(super) fn notes(comparison: &Comparison) -> Vec<(String, Vec<String>)> {
    // Experiments that share a configuration share its means.
    let clusters = alike(&comparison.groups);
    let lines = |line: fn(&[&Group]) -> Option<String>| {
        clusters.iter().filter_map(|groups| Some(format!("{}: {}", name(groups), line(groups)?))).collect()
    };
    let groups = &comparison.groups;
    let notes: [(&str, Vec<String>); 5] = [
        (
            "Runs of different versions: the same keys meant something else in them, so they have rows of their own, and \
             no mean is over both",
            versions(groups),
        ),
        ("Seeds of one configuration that ran on different devices or revisions", lines(mixture)),
        (
            "Runs that went on with another device or revision, as each segment was computed",
            groups.iter().flat_map(|group| &group.finished).filter_map(moved).collect(),
        ),
        ("Seeds of one configuration that were trained on different data", lines(data)),
        ("Runs on data that are not known to be the published ones", lines(origins)),
    ];
    notes.map(|(title, lines)| (title.to_string(), lines)).into()
}

/// The name of groups that differ in their experiment only.
fn name(groups: &[&Group]) -> String {
    let experiments: Vec<&str> = groups.iter().map(|group| group.experiment.as_str()).collect();
    format!("{}, {}", experiments.join(" and "), groups[0].configuration())
}

fn results<'a>(groups: &'a [&'a Group]) -> impl Iterator<Item = (&'a Run, &'a RunResult)> {
    groups.iter().flat_map(|group| &group.finished).filter_map(|run| Some((run, run.result.as_ref()?)))
}

/// How many runs each version has, where there are several.
fn versions(groups: &[Group]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for run in groups.iter().flat_map(|group| group.finished.iter().chain(&group.unfinished)) {
        *counts.entry(run.version()).or_default() += 1;
    }
    if counts.len() < 2 {
        return Vec::new();
    }
    counts.iter().map(|(version, count)| format!("version {version}: {count} runs")).collect()
}

/// Devices and revisions, where there is more than one.
fn mixture(groups: &[&Group]) -> Option<String> {
    let several = |figure: fn(&RunResult) -> BTreeSet<String>| {
        let values: BTreeSet<String> = results(groups).flat_map(|(_, result)| figure(result)).collect();
        (values.len() > 1).then(|| values.into_iter().collect::<Vec<_>>().join(" and "))
    };
    let found = [several(RunResult::devices), several(RunResult::revisions)];
    let found: Vec<String> = found.into_iter().flatten().collect();
    (!found.is_empty()).then(|| found.join("; "))
}

fn moved(run: &Run) -> Option<String> {
    Some(format!("{}: {}", run.folder.display(), run.result.as_ref()?.moves()?))
}

/// The seeds on each data set, where there is more than one.
fn data(groups: &[&Group]) -> Option<String> {
    let mut seeds: BTreeMap<&str, (BTreeSet<i64>, &str)> = BTreeMap::new();
    for (run, result) in results(groups) {
        if let Some(digest) = &result.data_digest {
            let origin = result.data_origin.as_deref().unwrap_or("of unknown origin");
            seeds.entry(digest).or_insert((BTreeSet::new(), origin)).0.insert(run.seed);
        }
    }
    let line = |(digest, (seeds, origin)): (&&str, &(BTreeSet<i64>, &str))| {
        format!("{} on {}... ({origin})", list(seeds), digest.chars().take(12).collect::<String>())
    };
    (seeds.len() > 1).then(|| seeds.iter().map(line).collect::<Vec<_>>().join("; "))
}

/// The seeds on data of each other origin.
fn origins(groups: &[&Group]) -> Option<String> {
    let mut seeds: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for (run, result) in results(groups) {
        if let Some(origin) = result.data_origin.as_deref().filter(|origin| !KNOWN_DATA.contains(origin)) {
            seeds.entry(origin).or_default().insert(run.seed);
        }
    }
    let lines = seeds.iter().map(|(origin, seeds)| format!("{origin} ({})", list(seeds)));
    (!seeds.is_empty()).then(|| lines.collect::<Vec<_>>().join("; "))
}

fn list(seeds: &BTreeSet<i64>) -> String {
    let word = if seeds.len() == 1 { "seed" } else { "seeds" };
    format!("{word} {}", seeds.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))
}
