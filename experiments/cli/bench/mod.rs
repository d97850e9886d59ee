//! `ht bench`: the full training step on random data.

mod agents;

use super::{DeviceArgs, bytes, print};
use crate::config::{Engine, resolve_model};
use crate::training_step::{RING_ROWS, StepMemory};
use clap::Args;
use engine::ceiling::Ceiling;
use engine::optim::{Adam, Optimizer};
use engine::{Clock, Device, Launch, Program};
use models::Model;
use serde_json::json;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Arguments of `ht bench`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ht bench mlp --batch 256\n  \
    ht bench mlp --batch 256 --set model.hidden=[100,100] --json\n  \
    ht bench resnet18 --batch 64 --steps 5 --set engine.winograd=false\n  \
    ht bench dqn --batch 32\n  \
    ht bench dqn --batch 32 --set model.name=cnn\n  \
    ht bench probe --batch 32")]
pub(super) struct BenchArgs {
    /// The model; `dqn` is an update of a deep Q-network, `probe` a training step of probe tasks, both by default on an mlp
    /// 784-512-512-10
    model: String,
    /// Examples per step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    batch: u32,
    /// Steps that are timed, after a warm-up
    #[arg(long, default_value_t = 200, value_name = "K", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    steps: u32,
    /// Override a key of the model or the engine, e.g. model.width=32; may be repeated, the last of one key wins
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// A training step on a fixed random batch.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) program: Program,
    pub(super) launches: Vec<Launch>,
    pub(super) activation_bytes: (u64, u64),
    _memory: StepMemory,
}

impl Bench {
    pub(super) fn new(
        device: &Device,
        model: &dyn Model,
        batch: usize,
        engine: Engine,
    ) -> anyhow::Result<Self> {
        let input = model.input();
        let optimizer = Adam { clip: Some(0.5), ..Adam::adamw(0.01) };
        let mut memory = StepMemory::new(device, model, optimizer, batch, 1)?;
        memory.winograd = engine.winograd;
        let pixels = input.image_size * input.image_size * input.channels;
        let x = kernels::case::test_values(batch * pixels, 1);
        let y: Vec<u32> = (0..batch).map(|i| (i % input.classes) as u32).collect();
        device.write(&memory.x, 0, bytemuck::cast_slice(&x))?;
        device.write(&memory.y, 0, &y)?;
        let step = memory.training(device, model, batch)?;
        let (launches, activation_bytes) = (step.launches, step.activation_bytes);
        Ok(Self { program: device.compile(launches.clone())?, launches, activation_bytes, _memory: memory })
    }

    pub(super) fn clock(&self, step: u64) -> Clock {
        let mut clock =
            Clock { seed: 1, step: step as u32, slot: (step % RING_ROWS as u64) as u32, ..Clock::default() };
        Adam::adamw(0.01).set_clock(&mut clock, step + 1, 1e-3);
        clock
    }
}

/// When the process started, as well as it can know.
fn process_age() -> Duration {
    static FIRST_CALL: OnceLock<Instant> = OnceLock::new();
    // On Linux the kernel tells when the process was created; elsewhere the clock starts here.
    let since_start = || -> Option<Duration> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let ticks: f64 = stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
        let uptime: f64 =
            std::fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
        Duration::try_from_secs_f64(uptime - ticks / 100.0).ok()
    };
    // The kernel counts in hundredths of a second only.
    let since_first_call = FIRST_CALL.get_or_init(Instant::now).elapsed();
    since_start().unwrap_or_default().max(since_first_call)
}

/// Runs `step` with the numbers 0, 1, ...: when the first had ended since the process began, and after a warm-up the median
/// time of one, in seconds, with how many were timed.
fn time_steps(
    device: &Device,
    steps: usize,
    mut step: impl FnMut(u64) -> anyhow::Result<()>,
) -> anyhow::Result<(f64, f64, usize)> {
    step(0)?;
    device.finish()?;
    let first = process_age().as_secs_f64();
    let mut done = 1;
    let warm_up = Instant::now();
    while done < 50 && warm_up.elapsed() < Duration::from_secs(1) {
        step(done)?;
        done += 1;
    }
    device.finish()?;
    // A GPU runs a few steps per submit: time groups of them, so that waiting does not count as work.
    let group = if device.is_gpu() { 16 } else { 1 };
    let mut times = Vec::new();
    while times.len() * group < steps {
        let start = Instant::now();
        for _ in 0..group {
            step(done)?;
            done += 1;
        }
        device.finish()?;
        times.push(start.elapsed().as_secs_f64() / group as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok((first, times[times.len() / 2], times.len() * group))
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    process_age();
    match args.model.as_str() {
        "dqn" => return agents::dqn(args),
        "probe" => return agents::probe(args),
        _ => {}
    }
    let (model, engine) = resolve_model(&args.model, &args.sets)?;
    let model = model.build().map_err(crate::Error::Mismatch)?;
    let device = args.device.open()?;
    let bench = Bench::new(&device, model.as_ref(), args.batch as usize, engine)?;
    let step = |step| Ok(bench.program.run(&bench.clock(step))?);
    let (first_step, seconds, steps) = time_steps(&device, args.steps as usize, step)?;
    let peak = device.allocated_bytes();
    let ceiling = Ceiling::measure(&device)?;
    let flops = bench.program.report().iter().map(|report| report.cost.flops).sum::<u64>() as f64;
    let (images, gflops) = (f64::from(args.batch) / seconds, flops / seconds / 1e9);
    let percent = 100.0 * flops / seconds / ceiling.flops;
    if args.json {
        return print(
            &json!({
                "model": args.model, "batch": args.batch, "device": device.name(), "steps": steps,
                "step_ms": seconds * 1e3, "images_per_s": images, "gflops": gflops, "ceiling_percent": percent,
                "ceiling_gflops": ceiling.flops / 1e9, "peak_bytes": peak, "first_step_s": first_step,
            })
            .to_string(),
        );
    }
    print(&format!(
        "{} batch {} on {}: {:.3} ms a step (median of {}), {:.0} images/s, {:.1} GFLOP/s ({:.0} % of the matmul ceiling \
         of {:.1}), peak memory {}, first step after {:.3} s",
        args.model,
        args.batch,
        device.name(),
        seconds * 1e3,
        steps,
        images,
        gflops,
        percent,
        ceiling.flops / 1e9,
        bytes(peak),
        first_step
    ))
}
