//! `ht demo`: the main job in miniature, on built-in data.

use super::{DeviceArgs, Stopped, print, progress::Bars, run, stop_on_signal};
use crate::protocols::phases::Outcome;
use crate::run_folder::RunFolder;
use crate::{Config, report};
use clap::Args;
use engine::Device;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
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
    let stop = stop_on_signal()?;
    let mut configs = Vec::new();
    for seed in 1..=args.seeds {
        for (preset, method) in RUNS {
            configs.push(run::resolve(preset, &[format!("intervention.method={method}")], Some(seed))?);
        }
    }
    let data = crate::data_set::load(&configs[0], std::path::Path::new(""))?;
    // On the CPU one run per processor beats one run on all of them, and gives the same numbers.
    let first = args.device.open()?;
    let devices: Vec<Device> = match first {
        Device::Cpu(_) => {
            let threads = match args.device.threads {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                n => n,
            };
            (0..threads.min(configs.len())).map(|_| Device::cpu(1)).collect()
        }
        Device::Gpu(_) => vec![first],
    };
    let (bars, next) = (Bars::default(), AtomicUsize::new(0));
    let failed: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for device in &devices {
            scope.spawn(|| {
                while let Some(config) = configs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = one(config, device, &data, args, &stop, &bars);
                    if let Err(error) = outcome {
                        stop.store(true, Ordering::Relaxed);
                        if let Ok(mut failed) = failed.lock() {
                            failed.get_or_insert(error);
                        }
                        return;
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(error);
    }
    let report = report::report(std::slice::from_ref(&args.out), Some(&args.out))?;
    let files: Vec<String> = report.files.iter().map(|file| format!("  {}", file.display())).collect();
    print(&format!("{}\nwritten:\n{}", report.text, files.join("\n")))
}

fn one(
    config: &Config,
    device: &Device,
    data: &data::DataSet,
    args: &DemoArgs,
    stop: &std::sync::atomic::AtomicBool,
    bars: &Bars,
) -> anyhow::Result<()> {
    if RunFolder::result(&RunFolder::path_of(config, &args.out))?.is_some() {
        return Ok(());
    }
    match run::execute(config, device, data, &args.out, stop, bars)? {
        Outcome::Finished(_) => Ok(()),
        Outcome::Interrupted => Err(Stopped.into()),
    }
}
