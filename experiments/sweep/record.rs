//! `sweep-DIGEST.toml`: the cells whose runs lie in a sweep's folder, so that no others are mixed with them.
//!
//! Many processes may work in one folder. Each writes a record of its own, named after its content, and reads those of all
//! others: nothing is shared that would need a lock, and processes with the same cells write the same file.

use super::{Error, SweepRun};
use crate::config::flattened;
use crate::error::Error as RunError;
use crate::hex::hex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use toml::{Table, Value};

type Keys = BTreeMap<String, Value>;

/// The cells and seeds of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    seeds: BTreeSet<i64>,
    /// Each cell's whole config, but for the seed and for what changes no result.
    cells: BTreeMap<String, Cell>,
}

/// The keys of a cell. Those that a file says once for all of its cells lie in memory once, too.
#[derive(Clone, Debug, Default)]
struct Cell {
    own: Keys,
    common: Arc<Keys>,
}

impl Cell {
    fn get(&self, key: &str) -> Option<&Value> {
        self.own.get(key).or_else(|| self.common.get(key))
    }

    fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        let not_own = move |(key, _): &(&String, &Value)| !self.own.contains_key(*key);
        self.own.iter().chain(self.common.iter().filter(not_own))
    }

    /// The first key on which two cells differ: one that both have says more than one that a method brought along.
    fn difference<'a>(&'a self, other: &'a Self) -> Option<&'a String> {
        let both = self.iter().filter(|(key, _)| other.get(key).is_some());
        let mut keys = both.chain(self.iter()).chain(other.iter()).map(|(key, _)| key);
        keys.find(|key| self.get(key) != other.get(key))
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.difference(other).is_none()
    }
}

impl Record {
    /// What there is to know of these runs.
    pub fn new(runs: &[SweepRun]) -> Self {
        let mut record = Self::default();
        for run in runs {
            record.seeds.insert(i64::from(run.config.shared().seed()));
            let mut keys = run.config.shared().to_keys();
            keys.retain(|key, _| key != "seed" && !key.starts_with("run."));
            record.cells.insert(run.cell.clone(), Cell { own: keys, ..Cell::default() });
        }
        record
    }

    /// The keys on which all cells agree.
    fn common(&self) -> Keys {
        let mut cells = self.cells.values();
        let Some(first) = cells.next() else { return Keys::new() };
        let mut common: Vec<_> = first.iter().collect();
        for cell in cells {
            common.retain(|&(key, value)| cell.get(key) == Some(value));
        }
        common.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The record with the cells and seeds of an earlier one, which lies in `path`.
    ///
    /// # Errors
    /// Both have a key in common, or a cell of one name, that differs.
    pub fn merged(mut self, earlier: Self, path: &Path) -> Result<Self, Error> {
        let text = |value: Option<&Value>| value.map_or_else(|| "no value".to_string(), Value::to_string);
        let differs = |cell: &str, key: &str, before: Option<&Value>, now: Option<&Value>| Error::Differs {
            path: path.to_path_buf(),
            cell: cell.to_string(),
            key: key.to_string(),
            before: text(before),
            now: text(now),
        };
        let now = self.common();
        for (key, before) in &earlier.common() {
            if let Some(value) = now.get(key).filter(|&value| value != before) {
                return Err(differs("every cell", key, Some(before), Some(value)));
            }
        }
        for (name, before) in &earlier.cells {
            let Some(now) = self.cells.get(name) else { continue };
            if let Some(key) = before.difference(now) {
                return Err(differs(&format!("'{name}'"), key, before.get(key), now.get(key)));
            }
        }
        self.seeds.extend(earlier.seeds);
        self.cells.extend(earlier.cells);
        Ok(self)
    }

    /// Writes the record into the folder of a sweep, beside those that lie there. Returns a line for each of these that
    /// cannot be read.
    ///
    /// # Errors
    /// As [`Record::merged`], with any of them; a file that cannot be written.
    pub fn keep(self, folder: &Path) -> Result<Vec<String>, Error> {
        let unreadable = self.compare(folder)?;
        // Remains of other processes, which may belong to somebody else, keep no sweep from its work.
        let _ = files::remove_partial(folder, files::ABANDONED);
        let text = self.to_toml();
        let digest = hex(&Sha256::digest(&text)[..8]);
        let path = folder.join(format!("sweep-{digest}.toml"));
        if path.exists() {
            return Ok(unreadable);
        }
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| RunError::Io { action, path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed("create", folder))?;
        files::write(&path, text.as_bytes()).map_err(failed("write", &path))?;
        // Another sweep may have looked at the same moment, and found nothing either.
        if let Err(error) = self.compare(folder) {
            std::fs::remove_file(&path).map_err(failed("remove", &path))?;
            return Err(error);
        }
        Ok(unreadable)
    }

    /// Holds the record against all that lie in a folder.
    fn compare(&self, folder: &Path) -> Result<Vec<String>, Error> {
        let failed = |source| RunError::Io { action: "read", path: folder.into(), source };
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name == "sweep.toml" || (name.starts_with("sweep-") && name.ends_with(".toml")) {
                paths.push(path);
            }
        }
        paths.sort();
        let (mut all, mut unreadable) = (self.clone(), Vec::new());
        for path in paths {
            match files::read_to_string(&path).ok().as_deref().map(Self::parse) {
                Some(Some(earlier)) => all = all.merged(earlier, &path)?,
                _ => unreadable.push(format!("{} is not the record of a sweep", path.display())),
            }
        }
        Ok(unreadable)
    }

    fn to_toml(&self) -> String {
        let common = self.common();
        let table = |keys: Keys| Value::Table(keys.into_iter().collect());
        let own = |cell: &Cell| {
            let own = cell.iter().filter(|(key, _)| !common.contains_key(*key));
            table(own.map(|(key, value)| (key.clone(), value.clone())).collect())
        };
        let cells = self.cells.iter().map(|(name, cell)| (name.clone(), own(cell))).collect();
        let file = Table::from_iter([
            (
                "seeds".to_string(),
                Value::Array(self.seeds.iter().map(|&seed| Value::Integer(seed)).collect()),
            ),
            ("common".to_string(), table(common.clone())),
            ("cells".to_string(), Value::Table(cells)),
        ]);
        let head = "# The cells whose runs lie here: the keys on which all agree, and those of each. Written by ht sweep.\n";
        format!("{head}{file}")
    }

    fn parse(text: &str) -> Option<Self> {
        let file: Table = text.parse().ok()?;
        let common = Arc::new(flattened(file.get("common")?.as_table()?));
        let with_common = |(name, keys): (&String, &Value)| {
            Some((name.clone(), Cell { own: flattened(keys.as_table()?), common: Arc::clone(&common) }))
        };
        Some(Self {
            seeds: file.get("seeds")?.as_array()?.iter().map(Value::as_integer).collect::<Option<_>>()?,
            cells: file.get("cells")?.as_table()?.iter().map(with_common).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::Sweep;

    fn record(text: &str) -> Record {
        let text = format!("preset = \"warm-start-strokes\"\n{text}");
        Record::new(&Sweep::parse("test", &text).unwrap().runs(&[], &[]).unwrap())
    }

    const AB: &str = "[[cells]]\nname = \"a\"\n[[cells]]\nname = \"b\"\n\"intervention.method\" = \"ema\"\n";

    #[test]
    fn a_record_survives_its_file() {
        for text in [AB, "seeds = [3, 4]", "[grid]\n\"protocol.noise\" = [[0.5, 0.0], [0.0, 0.0]]"] {
            let record = record(text);
            assert_eq!(Record::parse(&record.to_toml()), Some(record), "{text}");
        }
        assert_eq!(Record::parse("seeds = 3"), None);
    }

    #[test]
    fn cells_and_seeds_may_be_added_and_what_changes_no_result_may_change() {
        let with_c = format!("{AB}[[cells]]\nname = \"c\"\n\"intervention.method\" = \"l2\"\n");
        let merged = record(&format!("seeds = [2]\n{with_c}")).merged(record(AB), Path::new("x")).unwrap();
        assert_eq!(merged, record(&format!("seeds = [1, 2]\n{with_c}")));
        let often = format!("[set]\nrun.checkpoint_seconds = 1.0\n{AB}");
        assert_eq!(record(&often).merged(record(AB), Path::new("x")).unwrap(), record(AB));
    }

    #[test]
    fn another_value_is_refused_by_name() {
        for (now, words) in [
            (format!("[set]\noptimizer.lr = 0.5\n{AB}"), vec!["every cell", "optimizer.lr", "0.003", "0.5"]),
            (AB.replace("ema", "l2"), vec!["'b'", "intervention.method", "ema", "l2"]),
            (
                "[[cells]]\nname = \"c\"\n\"optimizer.lr\" = 0.5\n".into(),
                vec!["every cell", "optimizer.lr", "0.003", "0.5"],
            ),
        ] {
            let error = record(&now).merged(record(AB), Path::new("runs/x")).unwrap_err().to_string();
            for word in words.into_iter().chain(["runs/x", "--out"]) {
                assert!(error.contains(word), "{word} in {error}");
            }
        }
    }

    #[test]
    fn old_remains_of_killed_processes_are_removed_and_young_ones_stay() {
        let place = tempfile::tempdir().unwrap();
        let (old, young) =
            (place.path().join(".sweep-0.toml.a.partial"), place.path().join(".sweep-0.toml.b.partial"));
        let written = std::time::SystemTime::now() - files::ABANDONED;
        std::fs::File::create(&old).unwrap().set_modified(written).unwrap();
        std::fs::write(&young, "").unwrap();
        record(AB).keep(place.path()).unwrap();
        assert!(!old.exists() && young.exists());
    }
}
