//! `ht report`: tables and learning curves.

use super::print;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `ht report`.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ht report runs/warm-start-mnist runs/fresh-mnist -o report")]
pub(super) struct ReportArgs {
    /// Run folders, or any folders above them
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Write a page (index.html), the same in Markdown, tables (CSV) and figures (SVG) into this folder
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let report = crate::report::report(&args.runs, args.out.as_deref())?;
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
    print(&format!("{}{written}", report.text.trim_end()))
}
