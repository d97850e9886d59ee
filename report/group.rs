//! Sorts runs into configurations and gives each a label.

use super::read::Run;
use super::settings::{differing_keys, number, show, word};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Keys of the config that do not tell configurations apart: the seed, and how a run is carried out.
fn is_compared(key: &str) -> bool {
    key != "seed" && !key.starts_with("run.")
}

/// One configuration with its seeds.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) experiment: String,
    /// The model in short: its name, and the widths of the hidden layers if it lists them.
    pub(crate) model: String,
    /// The method of `[intervention]`.
    pub(crate) method: String,
    /// `key=value` of the keys that differ among configurations of this experiment, model and method.
    pub(crate) settings: Vec<String>,
    /// By seed.
    pub(crate) finished: Vec<Run>,
    /// By seed.
    pub(crate) unfinished: Vec<Run>,
    /// Dotted key to value, without the keys that are not compared.
    pub(crate) config: BTreeMap<String, toml::Value>,
    differing: Vec<String>,
}

/// Everything a report shows.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// In the order of the rows; those of agents behind those of classifiers.
    pub(crate) groups: Vec<Group>,
    /// Runs left out because another folder holds the same configuration and seed: the one left out, the one
    /// kept.
    pub(crate) duplicates: Vec<(PathBuf, PathBuf)>,
}

impl Comparison {
    fn split(&self) -> (&[Group], &[Group]) {
        self.groups.split_at(self.groups.partition_point(|group| !group.is_of_agent()))
    }

    /// Those of classifiers.
    pub(crate) fn classifiers(&self) -> &[Group] {
        self.split().0
    }

    /// Those of agents.
    pub(crate) fn agents(&self) -> &[Group] {
        self.split().1
    }
}

/// Groups the runs by their config, labels the groups and sorts them.
pub(crate) fn compare(runs: Vec<Run>) -> Comparison {
    let mut duplicates = Vec::new();
    let mut by_config: BTreeMap<BTreeMap<String, String>, BTreeMap<i64, Run>> = BTreeMap::new();
    for run in runs {
        // As text, because floats have no total equality.
        let key = compared(&run.config).into_iter().map(|(key, value)| (key, value.to_string())).collect();
        let seeds = by_config.entry(key).or_default();
        match seeds.get(&run.seed) {
            // A finished run stands for an unfinished one, otherwise the first found stands.
            Some(other) if other.result.is_some() || run.result.is_none() => {
                duplicates.push((run.folder, other.folder.clone()));
            }
            _ => {
                let folder = run.folder.clone();
                if let Some(other) = seeds.insert(run.seed, run) {
                    duplicates.push((other.folder, folder));
                }
            }
        }
    }
    let mut groups: Vec<Group> = by_config.into_values().filter_map(Group::new).collect();
    label(&mut groups);
    groups.sort_by(|a, b| a.is_of_agent().cmp(&b.is_of_agent()).then_with(|| order(a, b)));
    Comparison { groups, duplicates }
}

impl Group {
    /// `None` without runs.
    fn new(seeds: BTreeMap<i64, Run>) -> Option<Group> {
        let first = seeds.values().next()?;
        let experiment = first.experiment.clone();
        let config = compared(&first.config);
        let model = model_label(&config);
        let method = config.get("intervention.method").map_or_else(|| "none".to_string(), show);
        let (finished, unfinished) = seeds.into_values().partition(|run| run.result.is_some());
        let (settings, differing) = (Vec::new(), Vec::new());
        Some(Group { experiment, model, method, settings, finished, unfinished, config, differing })
    }

    /// Whether an agent acts in its runs.
    pub(crate) fn is_of_agent(&self) -> bool {
        self.config.contains_key("environment.task")
    }

    /// The label of the row beside the experiment's name.
    pub(crate) fn configuration(&self) -> String {
        let mut parts = vec![self.model.clone(), self.method.clone()];
        parts.extend(self.settings.iter().cloned());
        parts.join(", ")
    }

    /// The runs to draw a curve of: the finished ones or, as long as there are none, the unfinished ones.
    pub(crate) fn drawn(&self) -> &[Run] {
        if self.finished.is_empty() { &self.unfinished } else { &self.finished }
    }
}

/// `[512, 256]` under `model.hidden` makes `mlp 512-256`.
fn model_label(config: &BTreeMap<String, toml::Value>) -> String {
    let name = config.get("model.name").map_or_else(|| "model".to_string(), show);
    match config.get("model.hidden").and_then(toml::Value::as_array) {
        Some(widths) if !widths.is_empty() => {
            let widths: Vec<String> = widths.iter().map(show).collect();
            format!("{name} {}", widths.join("-"))
        }
        _ => name,
    }
}

/// Dotted keys of the values that tell configurations apart.
pub(crate) fn compared(config: &toml::Table) -> BTreeMap<String, toml::Value> {
    let mut keys = BTreeMap::new();
    flatten("", config, &mut keys);
    keys.retain(|key, _| is_compared(key));
    keys
}

/// No section of a config has a longer name: it is not repeated before every key of what is none.
const LONGEST_SECTION: usize = 128;

/// The values of a table under their dotted keys, those of inner tables too.
fn flatten(section: &str, table: &toml::Table, keys: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        let dotted = format!("{section}{key}");
        match value {
            toml::Value::Table(inner) if dotted.len() < LONGEST_SECTION => {
                flatten(&(dotted + "."), inner, keys);
            }
            value => drop(keys.insert(dotted, value.clone())),
        }
    }
}

/// Groups whose configs differ in the experiment's name only, together, in the order of their first ones.
pub(crate) fn alike(groups: &[Group]) -> Vec<Vec<&Group>> {
    let mut places: BTreeMap<Vec<(&String, String)>, usize> = BTreeMap::new();
    let mut alike: Vec<Vec<&Group>> = Vec::new();
    for group in groups {
        let config = group.config.iter().filter(|(key, _)| *key != "name");
        let key = config.map(|(key, value)| (key, value.to_string())).collect();
        let place = *places.entry(key).or_insert(alike.len());
        if place == alike.len() {
            alike.push(Vec::new());
        }
        alike[place].push(group);
    }
    alike
}

/// Gives groups of equal experiment, model and method the keys that differ among them.
fn label(groups: &mut [Group]) {
    let mut alike: BTreeMap<[String; 3], Vec<&mut Group>> = BTreeMap::new();
    for group in groups {
        let name = [&group.experiment, &group.model, &group.method].map(String::clone);
        alike.entry(name).or_default().push(group);
    }
    for members in alike.values_mut() {
        let configs: Vec<_> = members.iter().map(|group| &group.config).collect();
        let differing = differing_keys(&configs);
        for group in members {
            group.settings =
                differing.iter().filter_map(|key| Some(word(key, group.config.get(key)?))).collect();
            group.differing.clone_from(&differing);
        }
    }
}

fn order(a: &Group, b: &Group) -> Ordering {
    let name = |group: &Group| {
        let treated = group.method != "none";
        (group.experiment.clone(), group.model.clone(), treated, group.method.clone())
    };
    name(a).cmp(&name(b)).then_with(|| {
        // Equal names share their list of differing keys.
        let values = a.differing.iter().map(|key| order_values(a.config.get(key), b.config.get(key)));
        values.fold(Ordering::Equal, Ordering::then)
    })
}

/// A missing value first, numbers by size, all else as text.
pub(crate) fn order_values(a: Option<&toml::Value>, b: Option<&toml::Value>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => match (number(a), number(b)) {
            (Some(x), Some(y)) => x.total_cmp(&y),
            _ => a.to_string().cmp(&b.to_string()),
        },
        _ => a.is_some().cmp(&b.is_some()),
    }
}
