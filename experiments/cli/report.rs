//! `ht report`: tables and learning curves.

use super::print;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `ht report`.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ht report runs/warm-start-mnist runs/fresh-mnist -o figures")]
pub(super) struct ReportArgs {
    /// Run folders, or any folders above them
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Write table (text, CSV, Markdown) and curves (SVG, CSV) into this folder
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let report = crate::report::report(&args.runs, args.out.as_deref())?;
    let files: String = report.files.iter().map(|file| format!("\n  {}", file.display())).collect();
    let written = if files.is_empty() { String::new() } else { format!("\nwritten:{files}") };
    print(&format!("{}{written}", report.text.trim_end()))
}
