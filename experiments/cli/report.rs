//! `ht report`: tables and learning curves.

use super::print;
use crate::config::Method;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// The methods, as the report shows them.
pub(super) fn methods() -> Vec<::report::Method> {
    let shown = |method: &Method| ::report::Method {
        name: method.name(),
        short: method.short(),
        family: method.family(),
    };
    Method::ALL.iter().map(shown).collect()
}

/// Prints a report and what was written of it, and on standard error what was not read for it.
pub(super) fn show(report: &::report::Report, written: &str) -> anyhow::Result<()> {
    let printed = print(&format!("{}{written}", report.text.trim_end()));
    for item in &report.not_read {
        let _ = writeln!(std::io::stderr(), "not read: {item}");
    }
    printed
}

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
    let report = ::report::report(&args.runs, args.out.as_deref(), &methods())?;
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
    show(&report, &written)?;
    let refused: Vec<String> = report
        .not_read
        .iter()
        .filter(|item| item.named)
        .map(|item| item.path.display().to_string())
        .collect();
    anyhow::ensure!(refused.is_empty(), "given, but not read: {}", refused.join(", "));
    Ok(())
}
