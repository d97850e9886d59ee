//! `ht run`: runs, resumes or skips.

use super::{DeviceArgs, Stopped, note, print, progress::Bar, stop_on_signal};
use crate::config::{AnyConfig, Error, parse_set};
use crate::data_set;
use crate::lifecycle::{self, State, Status};
use crate::lifecycle::{Context, Outcome};
use crate::presets;
use crate::provenance::DataIdentity;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// Arguments of `ht run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ht run warm-start-strokes\n  \
    ht run warm-start-strokes --set intervention.method=hare-tortoise --seed 2\n  \
    ht run warm-start-mnist --data data --set protocol.base_epochs=10 --set model.hidden=[100,100]\n  \
    ht run my.toml --device llvmpipe\n\n\
    The run's folder is OUT/<experiment>/<run-id>; the id comes from the resolved config. The same command resumes an\n\
    interrupted run and skips a finished one.")]
pub struct RunArgs {
    /// A preset (`ht presets`) or a TOML file
    config: String,
    /// Override a key of the config, e.g. optimizer.lr=0.01; may be repeated, the last of one key wins
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
    /// Seed of everything random
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u32>,
    /// Folder of the data sets
    #[arg(long, default_value = "data-cache", value_name = "DIR")]
    data: PathBuf,
    /// Folder of the runs
    #[arg(long, default_value = "runs", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<()> {
    let config = resolve(&args.config, &args.sets, args.seed)?;
    let shared = config.shared();
    let path = lifecycle::path_of(shared, &args.out);
    let stop = stop_on_signal()?;
    let show =
        |what: &str, result| print(&format!("{what}{}\n{}", path.display(), summary(&Value::Object(result))));
    if let State::Finished(result) = lifecycle::look(shared, &args.out)? {
        // Its data may have been left behind: a result is shown without them, but not beside other data.
        let data = data_set::load(shared, &args.data).ok().map(|data| DataIdentity::of(&data));
        lifecycle::enter(shared, &args.out, data.as_ref(), &mut note)?;
        return show("already finished: ", result);
    }
    let device = args.device.open()?;
    let data = data_set::load(shared, &args.data)?;
    let data_identity = DataIdentity::of(&data);
    if let Some(line) = data_identity.note(&data) {
        note(&line);
    }
    let bar = Bar::new(format!("{} {} seed {}", shared.name(), shared.method(), shared.seed()));
    let (progress, tell) = (&mut |status: &Status| bar.show(status), &mut |line: &str| bar.note(line));
    let context = Context {
        device: &device,
        config: &config,
        data: &data,
        data_identity: &data_identity,
        stop: &stop,
        stop_at: None,
        progress,
        note: tell,
    };
    let outcome = crate::run::run(context, &args.out);
    bar.done();
    match outcome? {
        Outcome::Finished(result) => show("", result),
        Outcome::WasFinished(result) => show("already finished: ", result),
        Outcome::Interrupted => Err(Stopped.into()),
    }
}

/// Whether the preset and the keys exist; a file may be anybody's.
pub(super) fn check(args: &RunArgs) -> anyhow::Result<()> {
    if !args.config.ends_with(".toml") {
        resolve(&args.config, &args.sets, args.seed)?;
    }
    Ok(())
}

/// Defaults, preset or file, `--set`s and the seed, in this order.
pub(super) fn resolve(name: &str, sets: &[String], seed: Option<u32>) -> Result<AnyConfig, Error> {
    let mut layers = vec![presets::find(name)?];
    for set in sets {
        layers.push(parse_set(set)?);
    }
    if let Some(seed) = seed {
        layers.push(parse_set(&format!("seed={seed}"))?);
    }
    AnyConfig::resolve(&layers)
}

/// The result in one line.
fn summary(result: &Value) -> String {
    let percent =
        |key: &str| result[key].as_f64().map_or_else(|| "?".into(), |v| format!("{:.2} %", 100.0 * v));
    let what = match result["reward_per_step"].as_f64() {
        Some(reward) => format!("reward {reward:.4} per step, {} of the best", percent("share_of_best")),
        None => format!(
            "test accuracy {}, train accuracy {}",
            percent("test_accuracy"),
            percent("train_accuracy")
        ),
    };
    format!(
        "{what}, {} steps on {} in {} s",
        result["steps"],
        result["device"].as_str().unwrap_or("?"),
        result["seconds"]
    )
}
