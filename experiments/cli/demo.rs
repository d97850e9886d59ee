//! `ht demo`: the main job in miniature, on built-in data.

use super::sweep::{Plan, found};
use super::{DeviceArgs, run};
use crate::sweep::SweepRun;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `ht demo`.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ht demo --out runs/demo\n\n\
    A narrow ResNet-18 on the built-in shapes in colour: fresh training, a plain warm start, Shrink & Perturb and Hare &\n\
    Tortoise, 3 seeds each. Started again, it resumes, or shows the finished table.")]
pub(super) struct DemoArgs {
    /// Folder of the runs, the table and the plots
    #[arg(long, default_value = "runs/demo", value_name = "DIR")]
    out: PathBuf,
    /// Number of seeds
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    seeds: u32,
    #[command(flatten)]
    device: DeviceArgs,
}

/// The four rows of the table: preset and method.
const RUNS: [(&str, &str); 4] = [
    ("fresh-scenes", "none"),
    ("warm-start-scenes", "none"),
    ("warm-start-scenes", "shrink-perturb"),
    ("warm-start-scenes", "hare-tortoise"),
];

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for seed in 1..=args.seeds {
        for (preset, method) in RUNS {
            let config = run::resolve(preset, &[format!("intervention.method={method}")], Some(seed))?;
            runs.push(SweepRun { cell: format!("{preset} {method}"), config });
        }
    }
    let plan =
        Plan { out: &args.out, data: Path::new(""), record: None, retry: true, jobs: None, runs: runs.len() };
    let runs: Vec<_> = runs.iter().map(|run| found(run, &args.out)).collect();
    let failures = plan.carry_out(&runs, &args.device)?;
    if !failures.is_empty() {
        anyhow::bail!("{} of {} runs failed:\n  {}", failures.len(), runs.len(), failures.join("\n  "));
    }
    let report =
        ::report::report(std::slice::from_ref(&args.out), Some(&args.out), &super::report::methods())?;
    let files: Vec<String> = report.files.iter().map(|file| format!("  {}", file.display())).collect();
    super::report::show(&report, &format!("\n\nwritten:\n{}", files.join("\n")))
}
