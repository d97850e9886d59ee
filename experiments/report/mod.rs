//! Tables and figures from finished runs: the mean and sample standard deviation over seeds of each
//! configuration.
//!
//! A *configuration* is the resolved `config.toml` of a run without its seed; runs that differ in nothing
//! else are the seeds of one row. A figure of a row is
//!
//! ```text
//! mean = (1/n) Σ x_i        std = sqrt( (1/(n-1)) Σ (x_i - mean)² )
//! ```
//!
//! over its n finished runs, and the standard deviation of one run is not defined (shown as `-`). Unfinished
//! runs are named and left out of every mean; a configuration of which nothing has finished keeps a row with
//! zero seeds, and its curve so far. The same configuration and seed found in two folders counts once.
//!
//! Rows are ordered by experiment, model, method (`none` first) and then by the values of the keys that tell
//! them apart, numbers as numbers: the order depends on what the runs are, not on where or in which order
//! they lie.
//!
//! The files, all in one folder:
//!
//! | file | content |
//! |---|---|
//! | `index.html` | everything on one page that needs nothing else |
//! | `report.md` | the same in Markdown, with figures as files |
//! | `tables/*.csv` | each table, and the data of the figures, unrounded, mean and std apart |
//! | `figures/*.svg` | each figure |
//!
//! Beside its table of all configurations a report has what `sections` find in the runs: methods, grids, continual
//! learning, sweeps and indicators in the layout of the Hare & Tortoise paper, with its `published` numbers. Where a run
//! belongs follows from its config alone, not from the experiment's name: see `settings`.

mod entry;
mod group;
mod output;
mod plots;
mod published;
mod read;
mod sections;
mod settings;
mod statistics;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What [`report`] made.
#[derive(Debug)]
pub struct Report {
    /// The table and the notes under it, ready to print. Ends with a newline.
    pub text: String,
    /// The files written, in the order of writing; empty if no output folder was given.
    pub files: Vec<PathBuf>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No folder with a `config.toml` at or below the given paths.
    #[error(
        "no runs found in {}: a run is a folder with a config.toml, as in runs/EXPERIMENT/RUN-ID; \
         give such a folder or any folder above it", list(.looked)
    )]
    NoRuns {
        /// The paths that were searched.
        looked: Vec<PathBuf>,
    },
    /// A given path is a file.
    #[error("{} is not a folder: give a run folder or any folder above it", .path.display())]
    NotAFolder {
        /// The path as given.
        path: PathBuf,
    },
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line that is not what it should be, in the middle of `metrics.jsonl` or in `result.json`.
    #[error("{}, line {line}: {reason}; repair or remove this line, or remove the run folder", .path.display())]
    BrokenLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A `config.toml` that is not TOML or has no `name` or `seed`.
    #[error("{}: {reason}; this is not the config of a run", .path.display())]
    BrokenConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the report could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn list(paths: &[PathBuf]) -> String {
    match paths {
        [] => "an empty list of paths".to_string(),
        _ => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    }
}

/// Reads the runs at and below `paths` and compares their configurations; the tables, figures and their data
/// go to the folder `out`, made if missing, where files of the same names are replaced.
///
/// # Errors
///
/// See [`Error`]. All runs are read before anything is written.
pub fn report(paths: &[PathBuf], out: Option<&Path>) -> Result<Report, Error> {
    let runs = read::read_runs(paths)?;
    let comparison = group::compare(runs);
    let text = sections::results::text(&comparison);
    let files = match out {
        Some(folder) => write(&comparison, folder)?,
        None => Vec::new(),
    };
    Ok(Report { text, files })
}

fn write(comparison: &group::Comparison, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = entry::entries(&comparison.groups);
    let setups = entry::setups(&entries);
    let found = [
        sections::methods::make(&setups),
        sections::grids::make(&setups),
        sections::continual::make(&setups),
        sections::sweeps::make(&entries),
        sections::indicators::make(&setups),
        sections::curves::make(&comparison.groups),
        Some(sections::results::make(comparison)),
    ];
    let mut sections: Vec<output::Section> = found.into_iter().flatten().collect();
    name_files(&mut sections);

    let mut files = Vec::new();
    let mut write = |name: &str, content: &str| {
        let path = folder.join(name);
        let unwritable = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Unwritable { path, source }
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(unwritable(parent))?;
        }
        std::fs::write(&path, content).map_err(unwritable(&path))?;
        files.push(path);
        Ok::<(), Error>(())
    };
    let (title, summary) = ("Report", summary(comparison));
    write("index.html", &output::page(title, &summary, &sections))?;
    write("report.md", &output::markdown(title, &summary, &sections))?;
    for block in sections.iter().flat_map(|section| &section.blocks) {
        for sheet in block.sheets.iter().chain(&block.data) {
            write(&format!("tables/{}.csv", sheet.stem), &sheet.csv())?;
        }
        for figure in &block.figures {
            write(&format!("figures/{}.svg", figure.stem), &figure.svg.file(&figure.caption))?;
        }
    }
    Ok(files)
}

/// How much there is.
fn summary(comparison: &group::Comparison) -> String {
    let count = |runs: fn(&group::Group) -> usize| comparison.groups.iter().map(runs).sum::<usize>();
    let finished = count(|group| group.finished.len());
    let unfinished = count(|group| group.unfinished.len());
    let unfinished = if unfinished > 0 { format!(", {unfinished} unfinished runs") } else { String::new() };
    format!(
        "{} configurations, {finished} finished runs{unfinished}. Accuracies are mean ± sample standard deviation over seeds.",
        comparison.groups.len()
    )
}

/// Makes the names of tables differ, and those of figures.
fn name_files(sections: &mut [output::Section]) {
    let (mut tables, mut figures) = (BTreeSet::new(), BTreeSet::new());
    for block in sections.iter_mut().flat_map(|section| &mut section.blocks) {
        for sheet in block.sheets.iter_mut().chain(&mut block.data) {
            sheet.stem = distinct(&sheet.stem, &mut tables);
        }
        for figure in &mut block.figures {
            figure.stem = distinct(&figure.stem, &mut figures);
        }
    }
}

/// A name that is not too long for a file system, numbered if two meet.
fn distinct(name: &str, taken: &mut BTreeSet<String>) -> String {
    let name: String = name.chars().take(120).collect();
    let mut candidate = name.clone();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{name}-{number}");
        number += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_distinct_and_short() {
        let mut taken = BTreeSet::new();
        assert_eq!(distinct("curves-a", &mut taken), "curves-a");
        assert_eq!(distinct("curves-a", &mut taken), "curves-a-2");
        assert_eq!(distinct("curves-a", &mut taken), "curves-a-3");
        assert_eq!(distinct(&"x".repeat(300), &mut taken).len(), 120);
    }
}
