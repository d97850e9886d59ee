//! `ht data`: what there is, where it comes from, and whether it is whole.

use super::{bytes, print};
use clap::{Args, Subcommand};
use data::check::Status;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `ht data`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ht data list\n  ht data fetch cifar10\n  ht data check cifar10 --data /datasets"
)]
pub(super) struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// List the data sets
    List,
    /// Download a data set; continues where it was interrupted, and verifies every file
    Fetch {
        /// The data set
        name: String,
        /// Folder of the data sets
        #[arg(long, default_value = "data-cache", value_name = "DIR")]
        data: PathBuf,
        /// Take the files from this address instead of the published mirrors
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
    },
    /// Say what is wrong with which file at which byte
    Check {
        /// The data set
        name: String,
        /// Folder of the data sets
        #[arg(long, default_value = "data-cache", value_name = "DIR")]
        data: PathBuf,
    },
}

pub(super) fn run(args: &DataArgs) -> anyhow::Result<()> {
    match &args.command {
        DataCommand::List => {
            let mut text = String::new();
            for set in data::list() {
                let [h, w, c] = set.shape;
                let download = match set.files {
                    0 => "nothing to fetch".to_string(),
                    1 => format!("1 file, {}", bytes(set.bytes)),
                    n => format!("{n} files, {}", bytes(set.bytes)),
                };
                let _ = writeln!(
                    text,
                    "{:14} {}: {h}x{w}x{c}, {} classes, {} + {} images; {download}\n{:14} {}; licence: {}",
                    set.name.to_string(),
                    set.content,
                    set.classes,
                    set.train,
                    set.test,
                    "",
                    set.source,
                    set.licence
                );
            }
            print(&text)
        }
        DataCommand::Fetch { name, data, base_url } => {
            let style = ProgressStyle::with_template("{msg:28} {bar:28} {bytes}/{total_bytes} {eta}")?;
            let bar = ProgressBar::new(0).with_style(style.progress_chars("=> "));
            let mut progress = |file: &str, done: u64, total: u64| {
                bar.set_message(file.to_string());
                bar.set_length(total);
                bar.set_position(done);
            };
            let outcome = data::fetch(name, data, base_url.as_deref(), &mut progress);
            bar.finish_and_clear();
            let mut text = String::new();
            for file in outcome? {
                let state = if file.downloaded { "fetched" } else { "already there" };
                let _ = writeln!(text, "{} {state}, checksum ok", file.path.display());
            }
            print(&text)
        }
        DataCommand::Check { name, data } => {
            let report = data::check(name, data)?;
            let mut text = String::new();
            if report.files.is_empty() {
                let _ = writeln!(text, "{} is built in: there is no file to check", report.name);
            }
            for file in &report.files {
                let path =
                    file.path.as_ref().map_or_else(|| file.file.clone(), |path| path.display().to_string());
                let _ = writeln!(text, "{path}: {}", file.status);
            }
            for path in &report.not_read {
                let why = match path.is_dir() {
                    true => {
                        "its files have the names of such a set; give this folder as --data if it is the set"
                            .into()
                    }
                    false => format!("this is no form that {} is looked for in", report.name),
                };
                let _ = writeln!(text, "{}: not read: {why}", path.display());
            }
            print(&text)?;
            if report.is_ok() {
                return Ok(());
            }
            let looked: Vec<_> = report.looked_in.iter().map(|folder| folder.display().to_string()).collect();
            let is_missing = report.files.iter().any(|file| matches!(file.status, Status::Missing));
            let fetch = format!(
                ", and `ht data fetch {} --data {}` brings what is missing",
                report.name,
                data.display()
            );
            anyhow::bail!(
                "{} is not usable as it lies in {}: what to do stands beside each file{}",
                report.name,
                looked.join(" or "),
                if is_missing { fetch.as_str() } else { "" }
            )
        }
    }
}
