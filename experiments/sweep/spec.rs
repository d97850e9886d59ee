//! The file of a sweep.

use super::Error;
use crate::config::{Layer, flattened, folder_name, nearest, nested, overlay};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// A sweep as its file states it.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Name of the file, and of the folder of its runs.
    pub name: String,
    /// What it is: the first comment of the file.
    pub summary: String,
    pub(super) presets: Vec<String>,
    pub(super) seeds: Vec<u32>,
    pub(super) set: Table,
    pub(super) grid: BTreeMap<String, Vec<Value>>,
    pub(super) cells: Vec<Alternative>,
}

/// One of `[[cells]]`.
#[derive(Clone, Debug)]
pub(super) struct Alternative {
    pub(super) name: String,
    pub(super) preset: Option<String>,
    pub(super) keys: Table,
}

impl Sweep {
    /// Reads the text of a sweep's file.
    ///
    /// # Errors
    /// It is not TOML, has an unknown key, or leaves nothing to run.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let fail = |problem: String| Error::File { sweep: name.to_string(), problem };
        let mut table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| fail(format!("not TOML: {}", error.to_string().trim_end())))?;
        const KEYS: [&str; 5] = ["preset", "seeds", "set", "grid", "cells"];
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let hint = nearest(key, KEYS.into_iter());
            return Err(fail(format!("there is no key '{key}'{hint}; config keys belong under [set]")));
        }
        let presets = match table.remove("preset") {
            Some(Value::String(preset)) => vec![preset],
            Some(Value::Array(presets)) if !presets.is_empty() => presets
                .into_iter()
                .map(|preset| preset.as_str().map(str::to_string))
                .collect::<Option<_>>()
                .ok_or_else(|| fail("preset: a text or a list of texts expected".into()))?,
            _ => return Err(fail("preset: the name of a preset is needed, or a list of names".into())),
        };
        let seeds = match table.remove("seeds") {
            None => vec![1],
            Some(value) => value
                .as_array()
                .filter(|seeds| !seeds.is_empty())
                .and_then(|seeds| {
                    seeds.iter().map(|seed| u32::try_from(seed.as_integer()?).ok()).collect::<Option<_>>()
                })
                .ok_or_else(|| {
                    fail(format!("seeds = {value}: a list of whole numbers from 0 to 4294967295 is needed"))
                })?,
        };
        let mut section = |key: &str| match table.remove(key) {
            None => Ok(Table::new()),
            Some(Value::Table(section)) => Ok(section),
            Some(_) => Err(fail(format!("{key}: a section [{key}] expected"))),
        };
        let (set, grid) = (unquoted(&section("set")?), flattened(&section("grid")?));
        let grid = grid
            .into_iter()
            .map(|(key, values)| match values {
                Value::Array(values) if !values.is_empty() => Ok((key, values)),
                _ => Err(fail(format!("[grid] {key}: a list of values is needed, at least one"))),
            })
            .collect::<Result<_, _>>()?;
        let cells = match table.remove("cells") {
            None => Vec::new(),
            Some(Value::Array(cells)) if !cells.is_empty() => cells
                .into_iter()
                .map(|cell| Alternative::parse(cell).map_err(&fail))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(fail("cells: at least one [[cells]] with a name expected".into())),
        };
        let comment = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
        let summary = comment.collect::<Vec<_>>().join(" ");
        let sweep = Self { name: name.to_string(), summary, presets, seeds, set, grid, cells };
        sweep.check().map_err(fail)?;
        Ok(sweep)
    }

    fn check(&self) -> Result<(), String> {
        for (index, seed) in self.seeds.iter().enumerate() {
            if self.seeds[..index].contains(seed) {
                return Err(format!("seeds: {seed} is there twice"));
            }
        }
        let keys =
            [("[set]", &self.set)].into_iter().chain(self.cells.iter().map(|cell| ("[[cells]]", &cell.keys)));
        let mut named = keys.filter(|(_, keys)| keys.contains_key("seed")).map(|(place, _)| place);
        if let Some(place) = named.next().or(self.grid.contains_key("seed").then_some("[grid]")) {
            return Err(format!("{place} seed: the seeds of a sweep are the list `seeds`"));
        }
        folder_name(&self.name).map_err(|reason| format!("the name of the file: {reason}"))?;
        let broken = |value: &&Value| value.as_str().is_some_and(|text| text.contains(char::is_control));
        if let Some((key, value)) =
            self.grid.iter().find_map(|(key, values)| Some((key, values.iter().find(broken)?)))
        {
            return Err(format!("[grid] {key}: a text in one line expected, not {:?}", value.to_string()));
        }
        let mut names = BTreeSet::new();
        for cell in &self.cells {
            if !names.insert(&cell.name) {
                return Err(format!("two cells are named '{}'", cell.name));
            }
            if let Some(key) = flattened(&cell.keys).into_keys().find(|key| self.grid.contains_key(key)) {
                return Err(format!("the cell '{}' sets {key}, which [grid] sets too", cell.name));
            }
        }
        Ok(())
    }
}

impl Alternative {
    fn parse(cell: Value) -> Result<Self, String> {
        let Value::Table(mut keys) = cell else { return Err("cells: [[cells]] expected".into()) };
        let Some(Value::String(name)) = keys.remove("name") else {
            return Err("every one of [[cells]] needs a name, a text".into());
        };
        if name.trim().is_empty() || name.contains(char::is_control) {
            return Err(format!("the name of a cell, {name:?}, must be a text in one line, and not empty"));
        }
        let preset = match keys.remove("preset") {
            None => None,
            Some(Value::String(preset)) => Some(preset),
            Some(_) => return Err(format!("the cell '{name}': preset must be a text")),
        };
        Ok(Self { name, preset, keys: unquoted(&keys) })
    }

    pub(super) fn layer(&self) -> Layer {
        let origin =
            if self.name.is_empty() { "[[cells]]".into() } else { format!("the cell '{}'", self.name) };
        Layer::file(origin, self.keys.clone()).in_sweep()
    }
}

/// Keys with dots in quotes mean what they mean without quotes.
fn unquoted(table: &Table) -> Table {
    let mut plain = Table::new();
    for (key, value) in flattened(table) {
        overlay(&mut plain, &nested(&key, value));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str) -> Result<usize, Error> {
        Ok(Sweep::parse("test", text)?.runs(&[], &[])?.len())
    }

    #[test]
    fn mistakes_are_named() {
        let preset = "preset = \"warm-start-strokes\"\n";
        for (text, words) in [
            ("", vec!["preset"]),
            ("preset = 3", vec!["preset"]),
            ("preset = \"warmstart-strokes\"", vec!["did you mean 'warm-start-strokes'"]),
            ("seeds = [1", vec!["not TOML"]),
            ("seed = [1]", vec!["no key 'seed'", "did you mean 'seeds'"]),
            ("seeds = []", vec!["seeds"]),
            ("seeds = [-1]", vec!["seeds", "from 0 to"]),
            ("seeds = [1, 1]", vec!["seeds", "1 is there twice"]),
            ("[grid]\nseed = [1, 2]", vec!["[grid] seed", "`seeds`"]),
            ("[set]\nseed = 2", vec!["[set] seed", "`seeds`"]),
            ("grid = 3", vec!["[grid]"]),
            ("[grid]\n\"optimizer.lr\" = []", vec!["[grid] optimizer.lr", "at least one"]),
            ("[grid]\n\"optimizer.lr\" = [0.1, 0.1]", vec!["same run"]),
            ("[grid]\n\"optimizer.rate\" = [0.1]", vec!["[grid]", "optimizer.rate"]),
            ("[grid]\n\"optimizer.lr\" = [0.1, -1.0]", vec!["'optimizer.lr=-1.0'", "greater than 0"]),
            ("[set]\n\"optimizer.rate\" = 0.1", vec!["[set]", "optimizer.rate"]),
            ("[[cells]]\noptimizer.lr = 1", vec!["name"]),
            ("[[cells]]\nname = \"a\\nb\"", vec!["name of a cell", "in one line"]),
            ("[grid]\nintervention.method = [\"l2\\n\"]", vec!["[grid] intervention.method", "in one line"]),
            ("[grid]\nintervention.method = [\"l2+ema\", \"ema + l2\"]", vec!["same run"]),
            (
                "[grid]\nintervention.regen.strength = [0.1]",
                vec!["[grid]", "intervention.regen.strength", "none of its runs has the method regen"],
            ),
            (
                "[[cells]]\nname = \"a\"\nintervention.redo.interval = 1",
                vec!["the cell 'a'", "intervention.redo.interval", "none of its runs"],
            ),
            (
                "[set]\nintervention.momentum = 0.9",
                vec!["[set]", "called 'intervention.hare-tortoise.momentum'"],
            ),
            ("[[cells]]\nname = \"a\"\n[[cells]]\nname = \"a\"", vec!["two cells", "'a'"]),
            (
                "[[cells]]\nname = \"a\"\n[[cells]]\nname = \"b\"",
                vec!["'a, seed 1'", "'b, seed 1'", "same run"],
            ),
            ("[[cells]]\nname = \"a\"\noptimizer.lr = \"x\"", vec!["'a'", "a text"]),
            (
                "[grid]\n\"optimizer.lr\" = [0.1]\n[[cells]]\nname = \"a\"\noptimizer.lr = 1",
                vec!["'a'", "optimizer.lr", "[grid]"],
            ),
        ] {
            let text = if text.starts_with("preset") || text.is_empty() {
                text.into()
            } else {
                format!("{preset}{text}")
            };
            let message = runs(&text).expect_err(&text).to_string();
            for word in words {
                assert!(message.contains(word), "{text}: {message}");
            }
        }
    }
}
