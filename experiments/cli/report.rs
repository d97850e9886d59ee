//! `ht report`: tables and learning curves.

use super::print;
use ::report::{Family, Method};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// The methods, in the order of their names in a config.
pub(super) const METHODS: [Method; 10] = [
    Method { name: "hare-tortoise", short: "H&T", family: Family::Averaging },
    Method { name: "ema", short: "EMA", family: Family::Averaging },
    Method { name: "shrink-perturb", short: "SnP", family: Family::Reinitialisation },
    Method { name: "head-reset", short: "HR", family: Family::Reinitialisation },
    Method { name: "optimizer-reset", short: "OR", family: Family::Reinitialisation },
    Method { name: "l2", short: "L2", family: Family::Generalisation },
    Method { name: "spectral-decoupling", short: "Spectral", family: Family::Trainability },
    Method { name: "self-distillation", short: "SD", family: Family::Averaging },
    Method { name: "regen", short: "Regen", family: Family::Trainability },
    Method { name: "redo", short: "ReDo", family: Family::Trainability },
];

/// Arguments of `ht report`.
#[derive(Debug, Args)]
#[command(
    after_help = "What cannot be read is listed, and all else reported; the exit status is 1 only if no run could be read, \
                  or a path given here could not.\n\nExample:  ht report runs/warm-start-mnist runs/fresh-mnist -o report"
)]
pub(super) struct ReportArgs {
    /// Run folders, or any folders above them
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Write a page (index.html), the same in Markdown, tables (CSV) and figures (SVG) into this folder
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let report = ::report::report(&args.runs, args.out.as_deref(), &METHODS)?;
    let mut written = String::new();
    let (mut tables, mut figures) = (0, 0);
    for file in &report.files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => tables += 1,
            Some("svg") => figures += 1,
            _ => written.push_str(&format!("\n  {}", file.display())),
        }
    }
    if let Some(folder) = &args.out {
        let [tables_in, figures_in] =
            ["tables", "figures"].map(|name| folder.join(name).display().to_string());
        written = format!(
            "\nwritten:{written}\n  {tables_in}: {tables} CSV files\n  {figures_in}: {figures} SVG files"
        );
    }
    let printed = print(&format!("{}{written}", report.text.trim_end()));
    for item in &report.not_read {
        let _ = writeln!(std::io::stderr(), "not read: {item}");
    }
    printed?;
    let refused: Vec<String> = report
        .not_read
        .iter()
        .filter(|item| item.named)
        .map(|item| item.path.display().to_string())
        .collect();
    anyhow::ensure!(refused.is_empty(), "given, but not read: {}", refused.join(", "));
    Ok(())
}
