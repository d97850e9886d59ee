//! `ht sweep`: many runs from one file.

use super::progress::SweepProgress;
use super::{DeviceArgs, Stopped, note, print, stop_on_signal};
use crate::data_set;
use crate::lifecycle::{self, State};
use crate::sweep::{self, Costs, DataSets, Record, Shard, SweepRun};
use clap::Args;
use engine::Device;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true)]
    jobs: Option<u16>,
    /// Run share I of N only: every N-th run of the list
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Try failed runs again
    #[arg(long)]
    retry: bool,
    /// Override a key in all runs, e.g. protocol.base_epochs=20; may be repeated, the last of one key wins
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
    /// Seeds in place of the file's
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', allow_negative_numbers = true)]
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
            None => {
                print(&crate::presets::read_text(Path::new(name)).map_err(|source| crate::Error::Io {
                    action: "read",
                    path: name.into(),
                    source,
                })?)
            }
        };
    }
    let shard = args.shard.as_deref().map(str::parse::<Shard>).transpose()?;
    let sweep = sweep::find(name)?;
    let all = sweep.runs(&args.sets, &args.seeds)?;
    let out = args.out.join(&sweep.name);
    let mine = all.iter().enumerate().filter(|(index, _)| shard.is_none_or(|shard| shard.has(*index)));
    let runs: Vec<_> = mine.map(|(_, run)| found(run, &out)).collect();
    if args.dry_run {
        return dry_run(&runs);
    }
    let plan = Plan {
        out: &out,
        data: &args.data,
        record: Some(Record::new(&all)),
        retry: args.retry,
        jobs: args.jobs.map(usize::from),
        runs: all.len(),
    };
    let failures = plan.carry_out(&runs, &args.device)?;
    if !failures.is_empty() {
        anyhow::bail!(
            "{} of {} runs failed; the others are finished. Try them again with --retry; where a file is bad, first do \
             what its line says.\n  {}",
            failures.len(),
            runs.len(),
            failures.join("\n  ")
        );
    }
    print(&match runs.len() {
        1 => format!("1 run is finished in {}", out.display()),
        n => format!("{n} runs are finished in {}", out.display()),
    })
}

/// Whether the sweep and the keys exist; a file may be anybody's.
pub(super) fn check(args: &SweepArgs) -> anyhow::Result<()> {
    if let Some(name) = args.sweep.as_ref().filter(|name| !name.ends_with(".toml")) {
        sweep::find(name)?.runs(&args.sets, &args.seeds)?;
    }
    Ok(())
}

/// A run of a sweep with what lies in its folder under `out`. One that cannot be read hides no other.
pub(super) fn found<'a>(run: &'a SweepRun, out: &Path) -> (&'a SweepRun, crate::Result<State>) {
    (run, lifecycle::look(run.config.shared(), out))
}

/// How runs are to be carried out.
pub(super) struct Plan<'a> {
    /// Their folder.
    pub(super) out: &'a Path,
    /// Folder of the data sets.
    pub(super) data: &'a Path,
    /// What the folder may be mixed with.
    pub(super) record: Option<Record>,
    /// Run those that failed in an earlier attempt.
    pub(super) retry: bool,
    /// Runs at the same time, if it is not left to the device.
    pub(super) jobs: Option<usize>,
    /// Number of runs of the whole sweep, all shares together.
    pub(super) runs: usize,
}

impl Plan<'_> {
    /// Runs what is not finished, with one progress bar. Returns a line for each run that failed, now or earlier.
    pub(super) fn carry_out(
        self,
        runs: &[(&SweepRun, crate::Result<State>)],
        device: &DeviceArgs,
    ) -> anyhow::Result<Vec<String>> {
        let (mut pending, mut finished, mut earlier) = (Vec::new(), Vec::new(), Vec::new());
        for (run, state) in runs {
            match state {
                Ok(State::Finished(_)) => finished.push(*run),
                Ok(State::Failed(message)) if !self.retry => {
                    earlier.push(format!("{}: {message} (in an earlier attempt)", run.label()));
                }
                Ok(state) => pending.push((*run, *state != State::New)),
                Err(error) => earlier.push(format!("{}: {}", run.label(), error.with_causes())),
            }
        }
        let stop = stop_on_signal()?;
        let to_run: Vec<&SweepRun> = pending.iter().map(|(run, _)| *run).collect();
        let mut data = DataSets::load(&to_run, self.data)?;
        let mut notes = BTreeSet::new();
        for run in &finished {
            let mut keep = |line: &str| notes.extend([line.to_string()]);
            let identity = data.identity(run.config.shared(), self.data);
            if let Err(error) = lifecycle::enter(run.config.shared(), self.out, identity, &mut keep) {
                earlier.push(format!("{}: {}", run.label(), error.with_causes()));
            }
        }
        notes.extend(data.notes());
        notes.iter().for_each(|line| note(line));
        if pending.is_empty() {
            return Ok(earlier);
        }
        let devices = self.devices(device)?;
        if let Some(record) = self.record {
            record.keep(self.out)?.iter().for_each(|line| note(line));
        }
        let mut progress = SweepProgress::new(runs.len(), finished.len());
        for (run, begun) in &pending {
            progress.add(run, data.of(run.config.shared()).0.train.len(), *begun)?;
        }
        sweep::execute(&to_run, &devices, &data, self.out, &stop, &|index, event| {
            progress.show(index, event);
        });
        let ended = progress.finish();
        if let Some(reason) = ended.lost_device {
            anyhow::bail!(
                "{reason}; the runs that were not finished are as they were: the same command goes on"
            );
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Stopped.into());
        }
        Ok(ended.failures.into_iter().chain(earlier).collect())
    }

    /// On the CPU one run per processor beats one run on all of them, and gives the same numbers; a GPU takes one run at a
    /// time unless more are asked for. The number depends on the whole sweep, so that shares and later attempts have
    /// devices of the same name.
    fn devices(&self, args: &DeviceArgs) -> anyhow::Result<Vec<Device>> {
        let first = args.open()?;
        match first {
            Device::Cpu(_) => {
                let threads = match args.threads {
                    0 => std::thread::available_parallelism().map_or(1, usize::from),
                    n => n,
                };
                let jobs = self.jobs.unwrap_or(threads.min(self.runs));
                let device = |_| Ok(Device::cpu((threads / jobs).max(1))?);
                (0..jobs).map(device).collect()
            }
            Device::Gpu(_) => {
                let mut devices = vec![first];
                for _ in 1..self.jobs.unwrap_or(1) {
                    devices.push(args.open()?);
                }
                Ok(devices)
            }
        }
    }
}

fn list() -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for shipped in sweep::shipped() {
        let sweep = sweep::find(&shipped.name)?;
        lines.push(format!("{:36} {:4} runs  {}", sweep.name, sweep.count(), sweep.summary));
    }
    print(&lines.join("\n"))
}

fn is_finished(state: &crate::Result<State>) -> bool {
    matches!(state, Ok(State::Finished(_)))
}

fn dry_run(runs: &[(&SweepRun, crate::Result<State>)]) -> anyhow::Result<()> {
    let (mut costs, mut lines) = (Costs::default(), Vec::new());
    let (mut steps, mut flops, mut left) = (0, 0.0, 0.0);
    for (run, state) in runs {
        let cost = costs.of(&run.config, data_set::train_len(run.config.shared())?)?;
        let word = match state {
            Ok(State::Finished(_)) => "finished",
            Ok(State::Failed(_)) => "failed",
            Ok(State::Begun) => "begun",
            Ok(State::New) => "new",
            Err(_) => "bad",
        };
        let (name, label) = (run.config.shared().name(), run.label());
        lines.push(format!("{word:8} {:9} steps {:8.2e} FLOP  {name}: {label}", cost.steps, cost.flops));
        steps += cost.steps;
        flops += cost.flops;
        left += if is_finished(state) { 0.0 } else { cost.flops };
        if let Err(error) = state {
            lines.push(format!("         {}", error.with_causes()));
        }
    }
    let finished = runs.iter().filter(|(_, state)| is_finished(state)).count();
    lines.push(format!(
        "{} runs, {finished} of them finished; {steps} steps, {flops:.2e} floating-point operations in forward and \
         backward passes, {left:.2e} of them in runs that are not finished",
        runs.len()
    ));
    print(&lines.join("\n"))
}
