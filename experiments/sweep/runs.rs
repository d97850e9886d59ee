//! The runs that a sweep stands for.

use super::Error;
use super::spec::{Alternative, Sweep};
use crate::config::{AnyConfig, Layer, nested, parse_set};
use crate::presets;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// More runs than this are a mistake in a grid, and would not lie in memory.
const MOST_RUNS: usize = 100_000;

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRun {
    /// Its cell: all but the seed.
    pub cell: String,
    /// Its config, seed included.
    pub config: AnyConfig,
}

impl SweepRun {
    /// Cell and seed.
    pub fn label(&self) -> String {
        format!("{}, seed {}", self.cell, self.config.shared().seed())
    }
}

impl Sweep {
    /// All runs: for each seed every cell in the order of the file, and for each cell the grid, its last key fastest. `sets`
    /// are laid over all of them; `seeds`, if there are any, take the place of the file's.
    ///
    /// # Errors
    /// A config that is refused; two runs with one config.
    pub fn runs(&self, sets: &[String], seeds: &[u32]) -> Result<Vec<SweepRun>, Error> {
        let seeds = if seeds.is_empty() { &self.seeds } else { seeds };
        let count = self.per_seed().saturating_mul(seeds.len());
        if count > MOST_RUNS {
            let problem = format!("it stands for {count} runs, of which at most {MOST_RUNS} are possible");
            return Err(Error::File { sweep: self.name.clone(), problem });
        }
        let sets = sets.iter().map(|set| parse_set(set).map(Layer::in_sweep)).collect::<Result<Vec<_>, _>>();
        let sets =
            sets.map_err(|error| Error::File { sweep: self.name.clone(), problem: error.to_string() })?;
        if let Some(layer) = sets.iter().find(|layer| layer.table.contains_key("seed")) {
            let problem = format!("{}: give the seeds of a sweep with --seeds", layer.origin);
            return Err(Error::File { sweep: self.name.clone(), problem });
        }
        let none = Alternative { name: String::new(), preset: None, keys: Table::new() };
        let cells = if self.cells.is_empty() { std::slice::from_ref(&none) } else { &self.cells };
        let (mut runs, mut cells_of_runs) = (Vec::new(), Vec::new());
        for &seed in seeds {
            for cell in cells {
                let own = cell.preset.as_ref().map(std::slice::from_ref);
                for preset in own.unwrap_or(&self.presets) {
                    for point in self.points() {
                        runs.push(self.run(preset, cell, &point, &sets, seed)?);
                        cells_of_runs.push(cell.name.as_str());
                    }
                }
            }
        }
        let mut seen: BTreeMap<_, &SweepRun> = BTreeMap::new();
        for run in &runs {
            if let Some(first) = seen.insert((run.config.shared().name(), run.config.shared().run_id()), run)
            {
                let (sweep, first, second) = (self.name.clone(), first.label(), run.label());
                return Err(Error::SameRun { sweep, first, second });
            }
        }
        self.check_use(&sets, &runs, &cells_of_runs)?;
        Ok(runs)
    }

    /// Refuses keys of a method that takes part in none of the runs that they are for, and of a kind of optimiser.
    fn check_use(&self, sets: &[Layer], runs: &[SweepRun], cells_of_runs: &[&str]) -> Result<(), Error> {
        let grid = self.grid.iter().map(|(key, values)| grid_layer(key, &values[0]));
        let of_all = std::iter::once(self.set_layer()).chain(grid).chain(sets.iter().cloned());
        let of_cells = self.cells.iter().map(|cell| (Some(cell.name.as_str()), cell.layer()));
        for (cell, layer) in of_all.map(|layer| (None, layer)).chain(of_cells) {
            let its = runs.iter().zip(cells_of_runs).filter(|(_, of)| cell.is_none_or(|cell| cell == **of));
            let its: Vec<&AnyConfig> = its.map(|(run, _)| &run.config).collect();
            let refuse = |key: &str, reason: String| {
                let problem = format!("{}: {key} is set, but {reason}", layer.origin);
                Err(Error::File { sweep: self.name.clone(), problem })
            };
            if let Some(method) = in_all(its.iter().map(|config| layer.unused(&config.methods()))) {
                return refuse(
                    &layer.key_of(method),
                    format!("none of its runs has the method {}", method.name()),
                );
            }
            if let Some(key) = in_all(its.iter().map(|config| config.optimizer_kind().unused(&layer))) {
                return refuse(&format!("optimizer.{key}"), "no optimizer.kind of its runs has it".into());
            }
        }
        Ok(())
    }

    fn set_layer(&self) -> Layer {
        Layer::file("[set]", self.set.clone()).in_sweep()
    }

    /// Number of runs; the largest number there is, if they are more.
    pub fn count(&self) -> usize {
        self.per_seed().saturating_mul(self.seeds.len())
    }

    fn per_seed(&self) -> usize {
        let own = |cell: &Alternative| if cell.preset.is_some() { 1 } else { self.presets.len() };
        let cells = if self.cells.is_empty() { self.presets.len() } else { self.cells.iter().map(own).sum() };
        self.grid.values().map(Vec::len).fold(cells, usize::saturating_mul)
    }

    fn run(
        &self,
        preset: &str,
        cell: &Alternative,
        point: &[(&String, &Value)],
        sets: &[Layer],
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
        let resolve = || {
            let mut layers = vec![presets::find(preset)?.in_sweep(), self.set_layer(), cell.layer()];
            layers.extend(point.iter().map(|(key, value)| grid_layer(key, value)));
            layers.extend_from_slice(sets);
            layers.push(parse_set(&format!("seed={seed}"))?);
            AnyConfig::resolve(&layers)
        };
        let config = resolve().map_err(|error| Error::Cell {
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

/// The first that is in all of these lists.
fn in_all<T: PartialEq>(lists: impl Iterator<Item = Vec<T>>) -> Option<T> {
    let both = |all: Vec<T>, now: Vec<T>| all.into_iter().filter(|one| now.contains(one)).collect();
    lists.reduce(both)?.into_iter().next()
}

/// One key of a point of the grid.
fn grid_layer(key: &str, value: &Value) -> Layer {
    Layer::file("[grid]", nested(key, value.clone())).in_sweep()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn runs(text: &str) -> Result<Vec<SweepRun>, Error> {
        Sweep::parse("test", text)?.runs(&[], &[])
    }

    fn of(run: &SweepRun) -> &Config {
        match &run.config {
            AnyConfig::Classifier(config) => config,
            AnyConfig::Agent(_) => panic!("{} is an agent", run.cell),
        }
    }

    const BOTH: &str = "# Two methods\n# on a grid.\npreset = \"warm-start-strokes\"\nseeds = [1, 2]\n\
        [set]\noptimizer.lr = 0.01\n\"model.hidden\" = [8]\n\
        [grid]\n\"protocol.noise\" = [[0.0, 0.0], [0.5, 0.0]]\noptimizer.beta1 = [0.8, 0.9]\n\
        [[cells]]\nname = \"none\"\n\
        [[cells]]\nname = \"SnP+L2\"\n\"intervention.method\" = \"shrink-perturb+l2\"\nintervention.shrink-perturb.keep = 0.5\n";

    #[test]
    fn cells_grid_and_seeds_are_combined_in_a_fixed_order() {
        let runs = runs(BOTH).unwrap();
        let labels: Vec<_> = runs.iter().map(SweepRun::label).collect();
        assert_eq!(labels.len(), 16);
        assert_eq!(labels[0], "none, optimizer.beta1=0.8, protocol.noise=[0.0, 0.0], seed 1");
        assert_eq!(labels[1], "none, optimizer.beta1=0.8, protocol.noise=[0.5, 0.0], seed 1");
        assert_eq!(labels[7], "SnP+L2, optimizer.beta1=0.9, protocol.noise=[0.5, 0.0], seed 1");
        assert_eq!(labels[8], labels[0].replace("seed 1", "seed 2"));
        let config = of(&runs[15]);
        assert_eq!((config.seed, config.optimizer.lr, config.optimizer.rule.beta1), (2, 0.01, Some(0.9)));
        let intervention = &config.intervention;
        assert_eq!(intervention.method.to_string(), "shrink-perturb+l2");
        assert_eq!(intervention.shrink_perturb.as_ref().unwrap().keep, 0.5);
        assert_eq!(config.name, "warm-start-strokes");
        let sweep = Sweep::parse("test", BOTH).unwrap();
        assert_eq!(sweep.count(), runs.len());
        assert_eq!(sweep.summary, "Two methods on a grid.");
        let few = sweep.runs(&["optimizer.lr=1".into()], &[7]).unwrap();
        assert_eq!((few.len(), of(&few[0]).seed, of(&few[0]).optimizer.lr), (8, 7, 1.0));
    }

    #[test]
    fn a_grid_of_too_many_runs_is_refused_before_they_are_made() {
        for keys in [6, 70] {
            let grid: String =
                (0..keys).map(|key| format!("key{key} = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n")).collect();
            let text = format!("preset = \"fresh-strokes\"\n[grid]\n{grid}");
            let message = runs(&text).unwrap_err().to_string();
            assert!(message.contains("runs, of which at most 100000 are possible"), "{message}");
        }
    }

    #[test]
    fn presets_are_combined_too_and_a_cell_may_have_its_own() {
        let text = "preset = [\"warm-start-strokes\", \"fresh-strokes\"]\n[[cells]]\nname = \"a\"\n\
            [[cells]]\nname = \"b\"\npreset = \"fresh-scenes\"\n";
        let runs = runs(text).unwrap();
        let names: Vec<_> = runs.iter().map(|run| (run.cell.as_str(), of(run).name.as_str())).collect();
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
    fn keys_of_a_method_or_optimizer_may_be_shared_with_cells_that_do_not_have_it() {
        let both = |set: &str| {
            format!(
                "preset = \"warm-start-strokes\"\n[set]\n{set}\n[[cells]]\nname = \"none\"\n\
                 [[cells]]\nname = \"redo\"\nintervention.method = \"redo\"\n"
            )
        };
        let shared = runs(&both("intervention.redo.interval = 3")).unwrap();
        assert!(of(&shared[0]).intervention.redo.is_none());
        assert_eq!(of(&shared[1]).intervention.redo.as_ref().unwrap().interval, 3);
        let message = runs(&both("intervention.regen.strength = 3")).unwrap_err().to_string();
        assert!(
            message.contains("[set]: intervention.regen.strength is set, but none of its runs"),
            "{message}"
        );
        let kinds = |beta: &str| {
            let text = both("optimizer.momentum = 0.9").replace("method = \"redo\"", "method = \"none\"");
            runs(&text.replacen(
                "intervention.method = \"none\"",
                &format!("optimizer.kind = \"sgd\"{beta}"),
                1,
            ))
        };
        assert_eq!(of(&kinds("").unwrap()[1]).optimizer.rule.momentum, Some(0.9));
        let message = kinds("\noptimizer.beta1 = 0.5").unwrap_err().to_string();
        assert!(message.contains("optimizer.kind = \"sgd\" has no beta1"), "{message}");
        let message = runs(&both("optimizer.momentum = 0.9")).unwrap_err().to_string();
        assert!(message.contains("[set]: optimizer.momentum is set, but no optimizer.kind"), "{message}");
        let sets = ["intervention.redo.interval=4".to_string()];
        let sweep = Sweep::parse("test", &both("")).unwrap();
        assert_eq!(of(&sweep.runs(&sets, &[]).unwrap()[1]).intervention.redo.as_ref().unwrap().interval, 4);
        let message = sweep.runs(&["intervention.ema.momentum=0.9".into()], &[]).unwrap_err().to_string();
        assert!(message.contains("--set intervention.ema.momentum=0.9: "), "{message}");
    }
}
