//! `ht sweep`: many runs from one file.

use super::progress::SweepProgress;
use super::{DeviceArgs, Stopped, print, stop_on_signal};
use crate::data_set;
use crate::sweep::{self, Costs, DataSets, Record, Shard, State, SweepRun};
use clap::Args;
use engine::Device;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Arguments of `ht sweep`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ht sweep --list\n  \
    ht sweep table4-mnist --dry-run\n  \
    ht sweep table4-mnist --set protocol.base_epochs=20 --seeds 1,2\n  \
    ht sweep my.toml --shard $SLURM_ARRAY_TASK_ID/8\n\n\
    The runs' folders are OUT/<sweep>/<experiment>/<run-id>. The same command skips finished runs and resumes the others;\n\
    failed ones are tried again with --retry. Shares (--shard) that ran apart are merged by copying OUT together.")]
pub(super) struct SweepArgs {
    /// A sweep (`ht sweep --list`) or a TOML file
    #[arg(required_unless_present = "list")]
    sweep: Option<String>,
    /// List the sweeps that ship
    #[arg(long)]
    list: bool,
    /// Print the sweep's TOML, to make one's own from it
    #[arg(long, conflicts_with_all = ["list", "dry_run"])]
    show: bool,
    /// List the runs, their steps and their cost, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Runs at the same time; on the CPU as many as there are threads, on a GPU one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Run share I of N only: every N-th run of the list
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Try failed runs again
    #[arg(long)]
    retry: bool,
    /// Override a key in all runs, e.g. protocol.base_epochs=20; may be repeated
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
    /// Seeds in place of the file's
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    seeds: Vec<u32>,
    /// Folder of the data sets
    #[arg(long, default_value = "data-cache", value_name = "DIR")]
    data: PathBuf,
    /// Folder of the sweeps
    #[arg(long, default_value = "runs", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(super) fn run(args: &SweepArgs) -> anyhow::Result<()> {
    let (false, Some(name)) = (args.list, &args.sweep) else { return list() };
    if args.show {
        let shipped = sweep::shipped().into_iter().find(|sweep| &sweep.name == name);
        return match shipped {
            Some(sweep) => print(&sweep.text),
            None => print(&std::fs::read_to_string(name).map_err(|source| crate::Error::Io {
                action: "read",
                path: name.into(),
                source,
            })?),
        };
    }
    let shard = args.shard.as_deref().map(str::parse::<Shard>).transpose()?;
    let sweep = sweep::find(name)?;
    let all = sweep.runs(&args.sets, &args.seeds)?;
    let out = args.out.join(&sweep.name);
    let mine = all.iter().enumerate().filter(|(index, _)| shard.is_none_or(|shard| shard.has(*index)));
    let mut runs = Vec::new();
    for (_, run) in mine {
        runs.push((run, sweep::state(&run.config, &out)?));
    }
    if args.dry_run {
        return dry_run(&runs);
    }

    let stop = stop_on_signal()?;
    let count = |wanted: fn(&State) -> bool| runs.iter().filter(|(_, state)| wanted(state)).count();
    let failed_before = count(|state| matches!(state, State::Failed(_)));
    let to_run = |state: &State| match state {
        State::Finished => false,
        State::Failed(_) => args.retry,
        State::Begun | State::New => true,
    };
    let pending: Vec<&SweepRun> =
        runs.iter().filter(|(_, state)| to_run(state)).map(|(run, _)| *run).collect();
    let data = DataSets::load(&pending, &args.data)?;
    let mut progress = SweepProgress::new(runs.len(), count(|state| *state == State::Finished));
    for run in &pending {
        let begun = runs.iter().any(|(other, state)| other == run && *state == State::Begun);
        progress.add(run, data.of(&run.config).train.len(), begun)?;
    }
    if !pending.is_empty() {
        let devices = devices(args, all.len())?;
        Record::new(&all).keep(&out)?;
        if args.retry {
            for run in &pending {
                sweep::forget_failure(&run.config, &out)?;
            }
        }
        sweep::execute(&pending, &devices, &data, &out, &stop, &|index, event| progress.show(index, event));
    }

    let mut failures = progress.finish();
    if stop.load(Ordering::Relaxed) {
        return Err(Stopped.into());
    }
    if !args.retry && failed_before > 0 {
        failures.extend(runs.iter().filter_map(|(run, state)| match state {
            State::Failed(message) => Some(format!("{}: {message} (in an earlier attempt)", run.label())),
            _ => None,
        }));
    }
    if !failures.is_empty() {
        anyhow::bail!(
            "{} of {} runs failed; the others are finished. Try them again with --retry.\n  {}",
            failures.len(),
            runs.len(),
            failures.join("\n  ")
        );
    }
    print(&format!("{} runs are finished in {}", runs.len(), out.display()))
}

fn list() -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for shipped in sweep::shipped() {
        let sweep = sweep::find(&shipped.name)?;
        let runs = sweep.runs(&[], &[])?.len();
        lines.push(format!("{:36} {runs:4} runs  {}", sweep.name, sweep.summary));
    }
    print(&lines.join("\n"))
}

fn dry_run(runs: &[(&SweepRun, State)]) -> anyhow::Result<()> {
    let (mut costs, mut lines) = (Costs::default(), Vec::new());
    let (mut steps, mut flops, mut left) = (0, 0.0, 0.0);
    for (run, state) in runs {
        let cost = costs.of(&run.config, data_set::train_len(&run.config)?)?;
        let word = match state {
            State::Finished => "finished",
            State::Failed(_) => "failed",
            State::Begun => "begun",
            State::New => "new",
        };
        lines.push(format!("{word:8} {:9} steps  {}  {}", cost.steps, run.config.name, run.label()));
        steps += cost.steps;
        flops += cost.flops;
        left += if *state == State::Finished { 0.0 } else { cost.flops };
    }
    let finished = runs.iter().filter(|(_, state)| *state == State::Finished).count();
    lines.push(format!(
        "{} runs, {finished} of them finished; {steps} steps, {flops:.2e} floating-point operations in forward and \
         backward passes, {left:.2e} of them in runs that are not finished",
        runs.len()
    ));
    print(&lines.join("\n"))
}

/// On the CPU one run per processor beats one run on all of them, and gives the same numbers; a GPU takes one run at a time
/// unless more are asked for. The number depends on the whole sweep, so that shares and later attempts use the same devices.
fn devices(args: &SweepArgs, runs: usize) -> anyhow::Result<Vec<Device>> {
    let first = args.device.open()?;
    match first {
        Device::Cpu(_) => {
            let threads = match args.device.threads {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                n => n,
            };
            let jobs = args.jobs.map_or(threads.min(runs), usize::from);
            Ok((0..jobs).map(|_| Device::cpu((threads / jobs).max(1))).collect())
        }
        Device::Gpu(_) => {
            let mut devices = vec![first];
            for _ in 1..args.jobs.unwrap_or(1) {
                devices.push(args.device.open()?);
            }
            Ok(devices)
        }
    }
}
