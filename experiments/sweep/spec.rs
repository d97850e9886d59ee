//! The file of a sweep, and the runs that it stands for.

use super::Error;
use crate::config::{Config, flattened, nearest, nested, overlay, parse_set};
use crate::presets;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// A sweep as its file states it.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Name of the file, and of the folder of its runs.
    pub name: String,
    /// What it is: the first comment of the file.
    pub summary: String,
    presets: Vec<String>,
    seeds: Vec<u32>,
    set: Table,
    grid: BTreeMap<String, Vec<Value>>,
    cells: Vec<Alternative>,
}

/// One of `[[cells]]`.
#[derive(Clone, Debug)]
struct Alternative {
    name: String,
    preset: Option<String>,
    keys: Table,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRun {
    /// Its cell: all but the seed.
    pub cell: String,
    /// Its config, seed included.
    pub config: Config,
}

impl SweepRun {
    /// Cell and seed.
    pub fn label(&self) -> String {
        format!("{}, seed {}", self.cell, self.config.seed)
    }
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
                    fail(format!("seeds = {value}: a list of whole numbers is needed, not negative"))
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

    /// All runs: for each seed every cell in the order of the file, and for each cell the grid, its last key fastest. `sets`
    /// are laid over all of them; `seeds`, if there are any, take the place of the file's.
    ///
    /// # Errors
    /// A config that is refused; two runs with one config.
    pub fn runs(&self, sets: &[String], seeds: &[u32]) -> Result<Vec<SweepRun>, Error> {
        let seeds = if seeds.is_empty() { &self.seeds } else { seeds };
        let none = Alternative { name: String::new(), preset: None, keys: Table::new() };
        let cells = if self.cells.is_empty() { std::slice::from_ref(&none) } else { &self.cells };
        let mut runs = Vec::new();
        for &seed in seeds {
            for cell in cells {
                let own = cell.preset.as_ref().map(std::slice::from_ref);
                for preset in own.unwrap_or(&self.presets) {
                    for point in self.points() {
                        runs.push(self.run(preset, cell, &point, sets, seed)?);
                    }
                }
            }
        }
        let mut seen: BTreeMap<_, &SweepRun> = BTreeMap::new();
        for run in &runs {
            if let Some(first) = seen.insert((&run.config.name, run.config.run_id()), run) {
                let (sweep, first, second) = (self.name.clone(), first.label(), run.label());
                return Err(Error::SameRun { sweep, first, second });
            }
        }
        Ok(runs)
    }

    /// Number of runs.
    pub fn count(&self) -> usize {
        let own = |cell: &Alternative| if cell.preset.is_some() { 1 } else { self.presets.len() };
        let cells = if self.cells.is_empty() { self.presets.len() } else { self.cells.iter().map(own).sum() };
        self.seeds.len() * cells * self.grid.values().map(Vec::len).product::<usize>()
    }

    fn run(
        &self,
        preset: &str,
        cell: &Alternative,
        point: &[(&String, &Value)],
        sets: &[String],
        seed: u32,
    ) -> Result<SweepRun, Error> {
        let mut words = Vec::new();
        if self.presets.len() > 1 || (cell.name.is_empty() && point.is_empty()) {
            words.push(preset.to_string());
        }
        if !cell.name.is_empty() {
            words.push(cell.name.clone());
        }
        words.extend(point.iter().map(|(key, value)| format!("{key}={value}")));
        let name = words.join(", ");
        let layers = || -> Result<Config, crate::config::Error> {
            let mut layers = vec![presets::find(preset)?, ("[set]".to_string(), self.set.clone())];
            layers.push(("[[cells]]".to_string(), cell.keys.clone()));
            let at = point.iter().map(|(key, value)| ("[grid]".to_string(), nested(key, (*value).clone())));
            layers.extend(at);
            for set in sets {
                layers.push(parse_set(set)?);
            }
            layers.push(parse_set(&format!("seed={seed}"))?);
            Config::resolve(&layers)
        };
        let config = layers().map_err(|error| Error::Cell {
            sweep: self.name.clone(),
            cell: name.clone(),
            reason: error.to_string(),
        })?;
        Ok(SweepRun { cell: name, config })
    }

    /// The cartesian product of the grid; one empty point if there is none.
    fn points(&self) -> Vec<Vec<(&String, &Value)>> {
        self.grid.iter().fold(vec![vec![]], |points, (key, values)| {
            let with = |point: &Vec<_>| -> Vec<Vec<_>> {
                values.iter().map(|value| [&point[..], &[(key, value)]].concat()).collect()
            };
            points.iter().flat_map(with).collect()
        })
    }
}

impl Alternative {
    fn parse(cell: Value) -> Result<Self, String> {
        let Value::Table(mut keys) = cell else { return Err("cells: [[cells]] expected".into()) };
        let Some(Value::String(name)) = keys.remove("name") else {
            return Err("every one of [[cells]] needs a name, a text".into());
        };
        if name.is_empty() {
            return Err("a cell's name is empty".into());
        }
        let preset = match keys.remove("preset") {
            None => None,
            Some(Value::String(preset)) => Some(preset),
            Some(_) => return Err(format!("the cell '{name}': preset must be a text")),
        };
        Ok(Self { name, preset, keys: unquoted(&keys) })
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

    fn runs(text: &str) -> Result<Vec<SweepRun>, Error> {
        Sweep::parse("test", text)?.runs(&[], &[])
    }

    const BOTH: &str = "# Two methods\n# on a grid.\npreset = \"warm-start-strokes\"\nseeds = [1, 2]\n\
        [set]\noptimizer.lr = 0.01\n\"model.hidden\" = [8]\n\
        [grid]\n\"protocol.noise\" = [[0.0, 0.0], [0.5, 0.0]]\noptimizer.beta1 = [0.8, 0.9]\n\
        [[cells]]\nname = \"none\"\n\
        [[cells]]\nname = \"SnP+L2\"\n\"intervention.method\" = \"shrink-perturb+l2\"\nintervention.keep = 0.5\n";

    #[test]
    fn cells_grid_and_seeds_are_combined_in_a_fixed_order() {
        let runs = runs(BOTH).unwrap();
        let labels: Vec<_> = runs.iter().map(SweepRun::label).collect();
        assert_eq!(labels.len(), 16);
        assert_eq!(labels[0], "none, optimizer.beta1=0.8, protocol.noise=[0.0, 0.0], seed 1");
        assert_eq!(labels[1], "none, optimizer.beta1=0.8, protocol.noise=[0.5, 0.0], seed 1");
        assert_eq!(labels[7], "SnP+L2, optimizer.beta1=0.9, protocol.noise=[0.5, 0.0], seed 1");
        assert_eq!(labels[8], labels[0].replace("seed 1", "seed 2"));
        let config = &runs[15].config;
        assert_eq!((config.seed, config.optimizer.lr, config.optimizer.beta1), (2, 0.01, 0.9));
        assert_eq!((config.intervention.keep, config.has("l2")), (0.5, true));
        assert_eq!(config.name, "warm-start-strokes");
        let sweep = Sweep::parse("test", BOTH).unwrap();
        assert_eq!(sweep.count(), runs.len());
        assert_eq!(sweep.summary, "Two methods on a grid.");
        let few = sweep.runs(&["optimizer.lr=1".into()], &[7]).unwrap();
        assert_eq!((few.len(), few[0].config.seed, few[0].config.optimizer.lr), (8, 7, 1.0));
    }

    #[test]
    fn presets_are_combined_too_and_a_cell_may_have_its_own() {
        let text = "preset = [\"warm-start-strokes\", \"fresh-strokes\"]\n[[cells]]\nname = \"a\"\n\
            [[cells]]\nname = \"b\"\npreset = \"fresh-scenes\"\n";
        let runs = runs(text).unwrap();
        let names: Vec<_> = runs.iter().map(|run| (run.cell.as_str(), run.config.name.as_str())).collect();
        assert_eq!(
            names,
            [
                ("warm-start-strokes, a", "warm-start-strokes"),
                ("fresh-strokes, a", "fresh-strokes"),
                ("fresh-scenes, b", "fresh-scenes")
            ]
        );
        assert_eq!(super::tests::runs("preset = \"fresh-strokes\"").unwrap()[0].cell, "fresh-strokes");
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
            ("seeds = [-1]", vec!["seeds", "not negative"]),
            ("seeds = [1, 1]", vec!["same run", "seed 1"]),
            ("grid = 3", vec!["[grid]"]),
            ("[grid]\n\"optimizer.lr\" = []", vec!["[grid] optimizer.lr", "at least one"]),
            ("[grid]\n\"optimizer.lr\" = [0.1, 0.1]", vec!["same run"]),
            ("[grid]\n\"optimizer.rate\" = [0.1]", vec!["[grid]", "optimizer.rate"]),
            ("[grid]\n\"optimizer.lr\" = [0.1, -1.0]", vec!["'optimizer.lr=-1.0'", "greater than 0"]),
            ("[set]\n\"optimizer.rate\" = 0.1", vec!["[set]", "optimizer.rate"]),
            ("[[cells]]\noptimizer.lr = 1", vec!["name"]),
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
