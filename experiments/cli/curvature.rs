//! `ht curvature`: how the gradients of single examples of a run lie to each other.

use super::{DeviceArgs, print};
use crate::curvature::{Objective, SavedRun, k_means};
use anyhow::Context;
use clap::Args;
use engine::checkpoint::{File, Stored, StoredValues};
use std::path::PathBuf;

/// Arguments of `ht curvature`.
#[derive(Debug, Args)]
#[command(
    after_help = "Looks at the network of the run's checkpoint, and prints the mean cosine between the gradients of two examples\n\
    and the share of pairs that interfere. With --out, writes gradient-covariance.svg and .safetensors (docs/curvature.md).\n\n\
    Example:  ht curvature runs/warm-start-strokes/RUN-ID --examples 512 -o curvature"
)]
pub(super) struct CurvatureArgs {
    /// The folder of a run with a checkpoint
    run: PathBuf,
    /// What the gradients are those of
    #[arg(long, value_enum, default_value_t = Objective::Noise)]
    loss: Objective,
    /// Training examples, drawn by the seed
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=4096), allow_negative_numbers = true)]
    examples: u32,
    /// Clusters that the examples are sorted into
    #[arg(long, default_value_t = 10, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=4096), allow_negative_numbers = true)]
    clusters: u32,
    /// Draws the examples, the random changes and the first centres of the clusters
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true)]
    seed: u32,
    /// MiB of the device's memory for the gradients; they are made in pieces that fit
    #[arg(long, default_value_t = 1024, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 20), allow_negative_numbers = true)]
    memory: u64,
    /// Folder of the data sets
    #[arg(long, default_value = "data-cache", value_name = "DIR")]
    data: PathBuf,
    /// Write the matrix and its picture into this folder
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(super) fn run(args: &CurvatureArgs) -> anyhow::Result<()> {
    let device = args.device.open()?;
    let run = SavedRun::open(&device, &args.run, &args.data)?;
    let n = args.examples as usize;
    let covariance = run.gradient_covariance(args.loss, n, args.seed, args.memory << 20)?;
    let clusters = k_means(&covariance.cosines, n, args.clusters as usize, args.seed);
    let sorted = covariance.reordered(&clusters.order);
    let (mean, negative) = (covariance.mean(), 100.0 * covariance.negative_share());
    let summary = format!(
        "gradients of {n} examples: mean cosine {mean:.4}, {negative:.1} % of pairs negative, {} clusters",
        clusters.sizes.len()
    );
    let Some(out) = &args.out else { return print(&summary) };
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let step = run.step.map(|step| format!(", step {step}")).unwrap_or_default();
    let config = run.config.shared();
    let figure = ::report::CosineMatrix {
        title: &format!("{}, {}, seed {}{step}", config.name(), config.method(), config.seed()),
        caption: &summary,
        cosines: &sorted.cosines,
        groups: &clusters.sizes,
    };
    let picture = out.join("gradient-covariance.svg");
    files::write(&picture, figure.svg().as_bytes())
        .with_context(|| format!("cannot write {}", picture.display()))?;
    let mut file = File::default();
    file.insert("cosines", &[n, n], sorted.cosines.iter().map(|&cosine| cosine as f32).collect());
    let integers = |values: &[usize]| Stored {
        shape: vec![values.len()],
        values: StoredValues::Integers(values.iter().map(|&value| value as i64).collect()),
    };
    file.tensors.insert("order".into(), integers(&clusters.order));
    file.tensors.insert("cluster_sizes".into(), integers(&clusters.sizes));
    let matrix = out.join("gradient-covariance.safetensors");
    file.save(&matrix)?;
    print(&format!("{summary}\nwritten:\n  {}\n  {}", picture.display(), matrix.display()))
}
