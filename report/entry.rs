//! Configurations as the paper counts them: whatever experiment a run was made for.

use super::group::{Group, alike};
use super::read::Run;
use super::result::RunResult;
use super::settings::{Class, Protocol, Settings, differing_keys, word};
use super::statistics::{Summary, summarize_complete};
use super::{Method, published};
use std::collections::{BTreeMap, BTreeSet};

/// One configuration with its seeds.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) settings: Settings,
    /// By seed.
    pub(crate) finished: Vec<&'a Run>,
    /// By seed.
    pub(crate) unfinished: Vec<&'a Run>,
}

/// Keys in which runs differ that are compared with one another: methods and protocols. All others (data, network,
/// optimiser, length) make a setup.
const COMPARED: [&str; 9] = [
    "intervention.",
    "data.augment",
    "model.head_activation",
    "protocol.ratios",
    "protocol.noise",
    "protocol.last_phase",
    "protocol.evaluate_every",
    "protocol.indicators",
    "protocol.buffer",
];

/// Configurations that share data, network, optimiser and length.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// Data set and model, and what tells it from other setups of these.
    pub(crate) title: String,
    /// In what its runs are shorter or smaller than the paper's; empty if they are not.
    pub(crate) shortened: String,
    /// One of three or more that differ in keys of the setup, such as the optimiser's: the matter of a sweep.
    pub(crate) is_swept: bool,
    pub(crate) entries: Vec<&'a Entry<'a>>,
}

/// The best configuration of a method.
#[derive(Debug)]
pub(crate) struct Column<'a> {
    /// The paper's name, or the names of the parts.
    pub(crate) name: String,
    pub(crate) class: Class,
    pub(crate) best: &'a Entry<'a>,
    /// Configurations of which it is the best by mean test accuracy.
    pub(crate) of: usize,
    /// `key=value` of what tells it from the others.
    pub(crate) with: String,
}

/// The configurations of all groups; equal ones of several experiments become one, and a seed counts once.
pub(crate) fn entries<'a>(groups: &'a [Group], methods: &[Method]) -> Vec<Entry<'a>> {
    let entry = |alike: Vec<&'a Group>| {
        let mut config = alike[0].config.clone();
        config.remove("name");
        let once = |runs: fn(&Group) -> &Vec<Run>| {
            let mut seeds = BTreeSet::new();
            let runs = alike.iter().flat_map(|group| runs(group));
            runs.filter(|run| seeds.insert(run.seed)).collect::<Vec<_>>()
        };
        let (mut finished, unfinished) = (once(|group| &group.finished), once(|group| &group.unfinished));
        finished.sort_by_key(|run| run.seed);
        Entry { settings: Settings::new(config, methods), finished, unfinished }
    };
    alike(groups).into_iter().map(entry).collect()
}

impl Entry<'_> {
    fn percent(&self, figure: fn(&RunResult) -> Option<f64>) -> Option<Summary> {
        let values = self.finished.iter().map(|run| figure(run.result.as_ref()?));
        summarize_complete(values).map(|summary| summary.scaled(100.0))
    }

    /// Final test accuracy in percent over the finished seeds.
    pub(crate) fn test(&self) -> Option<Summary> {
        self.percent(|result| result.test_accuracy)
    }

    /// Final train accuracy in percent over the finished seeds.
    pub(crate) fn train(&self) -> Option<Summary> {
        self.percent(|result| result.train_accuracy)
    }

    /// Final test accuracy of each finished seed in percent.
    pub(crate) fn seeds(&self) -> Vec<f64> {
        let accuracy = |run: &&Run| run.result.as_ref()?.test_accuracy;
        self.finished.iter().filter_map(accuracy).map(|accuracy| accuracy * 100.0).collect()
    }

    /// The runs to draw a curve of: the finished ones or, as long as there are none, the unfinished ones.
    pub(crate) fn drawn(&self) -> &[&Run] {
        if self.finished.is_empty() { &self.unfinished } else { &self.finished }
    }
}

/// For each of these, `key=value` of the chosen keys that differ among them.
pub(crate) fn differences(all: &[&Settings], chosen: impl Fn(&str) -> bool) -> Vec<String> {
    let configs: Vec<_> = all.iter().map(|settings| &settings.values).collect();
    let mut keys = differing_keys(&configs);
    keys.retain(|key| chosen(key));
    let words = |settings: &&Settings| {
        let word = |key: &String| settings.values.get(key).map(|value| word(key, value));
        keys.iter().filter_map(word).collect::<Vec<_>>().join(", ")
    };
    all.iter().map(words).collect()
}

fn is_of_setup(key: &str) -> bool {
    !COMPARED.iter().any(|prefix| key.starts_with(prefix))
}

/// Sorts configurations into setups, in the order of their first ones.
pub(crate) fn setups<'a>(entries: &'a [Entry<'a>]) -> Vec<Setup<'a>> {
    let mut places: BTreeMap<Vec<(&String, String)>, usize> = BTreeMap::new();
    let mut setups: Vec<Setup<'a>> = Vec::new();
    for entry in entries {
        let config = entry.settings.values.iter().filter(|(key, _)| is_of_setup(key));
        // The paper's lengths are in units of the protocol.
        let continual = matches!(entry.settings.protocol(), Protocol::Continual { .. });
        let mut key: Vec<_> = config.map(|(key, value)| (key, value.to_string())).collect();
        if continual && let Some(length) = key.iter_mut().find(|(key, _)| *key == "protocol.base_epochs") {
            length.1.push_str(" continual");
        }
        let place = *places.entry(key).or_insert(setups.len());
        if place == setups.len() {
            let shortened = entry.settings.shortened().join(", ");
            let suffix = if shortened.is_empty() { "" } else { " (shortened)" };
            let title = format!("{}{suffix}", entry.settings.pair());
            setups.push(Setup { title, shortened, is_swept: false, entries: Vec::new() });
        }
        setups[place].entries.push(entry);
    }
    // Setups of the same name get the keys that tell them apart; other protocols have other lengths anyway.
    let protocol =
        |setup: &Setup<'_>| matches!(setup.entries[0].settings.protocol(), Protocol::Continual { .. });
    let names: Vec<_> = setups.iter().map(|setup| (setup.title.clone(), protocol(setup))).collect();
    for name in names.iter().collect::<BTreeSet<_>>() {
        let alike: Vec<usize> = (0..setups.len()).filter(|&index| names[index] == *name).collect();
        let all: Vec<&Settings> = alike.iter().map(|&index| &setups[index].entries[0].settings).collect();
        for (index, words) in alike.iter().zip(differences(&all, is_of_setup)) {
            setups[*index].is_swept = alike.len() > 2;
            if !words.is_empty() {
                setups[*index].title.push_str(&format!("; {words}"));
            }
        }
    }
    setups
}

/// The methods among these configurations, each with its best, in the paper's order.
pub(crate) fn columns<'a>(entries: impl IntoIterator<Item = &'a Entry<'a>>) -> Vec<Column<'a>> {
    let mut by_name: BTreeMap<String, Vec<&'a Entry<'a>>> = BTreeMap::new();
    for entry in entries {
        by_name.entry(entry.settings.column.clone()).or_default().push(entry);
    }
    let best = |(name, mut candidates): (String, Vec<&'a Entry<'a>>)| {
        // Something that has finished is better than anything that has not.
        if candidates.iter().any(|entry| entry.test().is_some()) {
            candidates.retain(|entry| entry.test().is_some());
        }
        let mean = |entry: &Entry<'_>| entry.test().map_or(f64::NEG_INFINITY, |summary| summary.mean);
        // The first of equals.
        let best = (0..candidates.len())
            .rev()
            .max_by(|&a, &b| mean(candidates[a]).total_cmp(&mean(candidates[b])))?;
        let all: Vec<&Settings> = candidates.iter().map(|entry| &entry.settings).collect();
        let with = differences(&all, |_| true).swap_remove(best).replace("intervention.", "");
        let class = candidates[best].settings.class;
        Some(Column { name, class, best: candidates[best], of: candidates.len(), with })
    };
    let mut columns: Vec<Column<'a>> = by_name.into_iter().filter_map(best).collect();
    columns.sort_by_key(|column| (position(&column.name), column.name.clone()));
    columns
}

/// Where a method stands: the paper's columns first, then those of its Fig. 5.
fn position(name: &str) -> usize {
    let order = ["no method"].iter().chain(&published::COLUMNS).chain(&["EMA", "SD", "H&T"]);
    order.into_iter().position(|listed| *listed == name).unwrap_or(usize::MAX)
}

impl Setup<'_> {
    /// A sentence on the length of its runs.
    pub(crate) fn note(&self) -> String {
        match self.shortened.as_str() {
            "" => String::new(),
            words => format!("Shortened: {words}. The paper's numbers are published at full length."),
        }
    }
}
