//! Tables, figures and pages from the files that runs leave behind: the mean and sample standard deviation over seeds of
//! each configuration.
//!
//! Architecture invariants of this crate:
//!
//! - It knows no engine, no model, no data set and no experiment: it reads files, and nothing else is its input. The names
//!   of the methods come from the caller, and an unknown one is shown by its own name: nothing here changes when a method
//!   is added.
//! - What cannot be read hides nothing else: it is listed with the reason, and all the rest is reported.
//! - Results of different versions never meet in one mean. Configs of version 1 are brought into today's form by
//!   [`legacy`], and stay version 1.
//! - Everything is read before anything is written, and each file is written whole or not at all.
//!
//! A *configuration* is the resolved `config.toml` of a run without its seed and `[run]`; runs that differ in nothing
//! else are the seeds of one row. A figure of a row is
//!
//! ```text
//! mean = (1/n) Σ x_i        std = sqrt( (1/(n-1)) Σ (x_i - mean)² )
//! ```
//!
//! over its n finished runs, and the standard deviation of one run is not defined (shown as `-`). Unfinished
//! and failed runs are named and left out of every mean; a configuration of which nothing has finished keeps a row with
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
mod find;
mod group;
pub mod legacy;
mod output;
mod plots;
mod published;
mod read;
mod result;
mod sections;
mod settings;
mod statistics;
mod text;
mod write;

pub use plots::cosines::CosineMatrix;

use find::Found;
use std::path::{Path, PathBuf};

/// A method of `intervention.method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name in configs.
    pub name: &'static str,
    /// Its name in tables, the paper's where it has one.
    pub short: &'static str,
    /// Its kind.
    pub family: Family,
}

/// A kind of method, as the paper sorts them in Fig. 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Generalises better.
    Generalisation,
    /// Keeps the network trainable.
    Trainability,
    /// Draws some of the network anew.
    Reinitialisation,
    /// Averages weights.
    Averaging,
}

/// What [`report`] made.
#[derive(Debug)]
pub struct Report {
    /// The table and the notes under it, ready to print. Ends with a newline.
    pub text: String,
    /// The files written, in the order of writing; empty if no output folder was given.
    pub files: Vec<PathBuf>,
    /// What could not be read and was left out.
    pub not_read: Vec<NotRead>,
}

/// A file or folder that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRead {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said, or what is wrong with it.
    pub reason: String,
    /// It is one of the paths that [`report`] was given, or a file right in it.
    pub named: bool,
}

impl std::fmt::Display for NotRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&text::plain(&format!("{}: {}", self.path.display(), self.reason)))
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No run at or below the given paths, or none that can be read.
    #[error(
        "no runs found in {}: a run is a folder with a config.toml, as in runs/EXPERIMENT/RUN-ID; \
         give such a folder or any folder above it{}", list(.looked), lines(.not_read)
    )]
    NoRuns {
        /// The paths that were searched.
        looked: Vec<PathBuf>,
        /// What was found and could not be read.
        not_read: Vec<NotRead>,
    },
    /// The output folder is a file.
    #[error("{} is not a folder: the report is written into a folder, which is made if it is missing", .path.display())]
    OutIsNoFolder {
        /// The path as given.
        path: PathBuf,
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

fn lines(not_read: &[NotRead]) -> String {
    not_read.iter().map(|item| format!("\n  not read: {item}")).collect()
}

/// Reads the runs at and below `paths` and compares their configurations; the tables, figures and their data
/// go to the folder `out`, made if missing, where files of the same names are replaced. `methods` are the names of the
/// methods, in the order in which a combination of them is written.
///
/// # Errors
///
/// See [`Error`]. All runs are read before anything is written; what cannot be read is no error as long as something can
/// ([`Report::not_read`]).
pub fn report(paths: &[PathBuf], out: Option<&Path>, methods: &[Method]) -> Result<Report, Error> {
    if let Some(path) = out.filter(|path| std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_dir())) {
        return Err(Error::OutIsNoFolder { path: path.to_path_buf() });
    }
    let Found { runs, mut not_read, foreign, .. } = find::find(paths);
    if runs.is_empty() {
        not_read.extend(foreign.into_iter().map(|(path, reason)| NotRead {
            path: path.join("config.toml"),
            reason: format!("not the config of a run: {reason}"),
            named: false,
        }));
        return Err(Error::NoRuns { looked: paths.to_vec(), not_read });
    }
    let comparison = group::compare(runs);
    let left_out = sections::not_read::LeftOut { not_read: &not_read, foreign: &foreign };
    let text = sections::results::text(&comparison) + &left_out.text();
    let files = match out {
        Some(folder) => write::write(&comparison, &left_out, methods, folder)?,
        None => Vec::new(),
    };
    Ok(Report { text, files, not_read })
}
