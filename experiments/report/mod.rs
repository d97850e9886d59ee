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
//! | `results.txt` `results.md` `results.csv` | the table; the CSV has unrounded figures, mean and std apart |
//! | `curves-EXPERIMENT.svg` `.csv` | test accuracy against training steps, mean ± std over seeds |
//! | `curves.svg` | the same with the configurations of all experiments, if there is more than one |
//! | `final.svg` | final test accuracy: a dot for each seed, the mean and a whisker of one std |

mod axis;
mod canvas;
mod curves;
mod dots;
mod group;
mod plot;
mod read;
mod statistics;
mod table;

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
    /// The plotting library refused a figure.
    #[error("cannot draw {}: {reason}", .path.display())]
    Drawing {
        /// The file that was to hold it.
        path: PathBuf,
        /// What the library said.
        reason: String,
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
    let text = table::text(&comparison);
    let mut files = Vec::new();
    if let Some(folder) = out {
        std::fs::create_dir_all(folder)
            .map_err(|source| Error::Unwritable { path: folder.to_path_buf(), source })?;
        let mut write = |name: &str, content: &str| {
            let path = folder.join(name);
            std::fs::write(&path, content)
                .map_err(|source| Error::Unwritable { path: path.clone(), source })?;
            files.push(path);
            Ok::<(), Error>(())
        };
        let drawn = |name: &str, figure: Result<String, canvas::DrawError>| {
            figure.map_err(|error| Error::Drawing { path: folder.join(name), reason: error.to_string() })
        };

        write("results.txt", &text)?;
        write("results.csv", &table::csv(&comparison.groups))?;
        write("results.md", &table::markdown(&comparison))?;
        let experiments: BTreeSet<&str> = comparison.groups.iter().map(|g| g.experiment.as_str()).collect();
        let mut taken = BTreeSet::new();
        for &experiment in &experiments {
            let members: Vec<_> = comparison.groups.iter().filter(|g| g.experiment == experiment).collect();
            let stem = file_stem(experiment, &mut taken);
            let figure = format!("{stem}.svg");
            write(&figure, &drawn(&figure, plot::curves_svg(&members))?)?;
            write(&format!("{stem}.csv"), &curves::csv(&members))?;
        }
        let all: Vec<_> = comparison.groups.iter().collect();
        if experiments.len() > 1 {
            write("curves.svg", &drawn("curves.svg", plot::curves_svg(&all))?)?;
        }
        write("final.svg", &drawn("final.svg", dots::final_svg(&all))?)?;
    }
    Ok(Report { text, files })
}

/// `curves-NAME`, where characters that file systems or shells dislike become `-`, numbered if two names meet.
fn file_stem(experiment: &str, taken: &mut BTreeSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let stem = format!("curves-{}", experiment.chars().map(plain).collect::<String>());
    let mut candidate = stem.clone();
    let mut number = 2;
    // File systems that ignore case would let one file replace the other.
    while !taken.insert(candidate.to_lowercase()) {
        candidate = format!("{stem}-{number}");
        number += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_stems_are_plain_and_distinct() {
        let mut taken = BTreeSet::new();
        assert_eq!(file_stem("warm-start-mnist", &mut taken), "curves-warm-start-mnist");
        assert_eq!(file_stem("a/b c", &mut taken), "curves-a-b-c");
        assert_eq!(file_stem("a-b/c", &mut taken), "curves-a-b-c-2");
        assert_eq!(file_stem("A-b-c", &mut taken), "curves-A-b-c-3");
    }
}
