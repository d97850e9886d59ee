//! `ht bench dqn` and `ht bench probe`: what agents spend their time with, on random images.

use super::{BenchArgs, time_steps};
use crate::agents::{Learner, Options, Output};
use crate::cli::{bytes, print};
use crate::config::resolve_model;
use crate::plasticity::{self, Probe};
use data::Images;
use engine::Network;
use engine::ceiling::Ceiling;
use models::Model;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// The functions of a probe, as in the paper.
const FUNCTIONS: usize = 10;

/// The network of the options, by default the one of the paper.
fn network(args: &BenchArgs) -> anyhow::Result<Box<dyn Model>> {
    let name = args.sets.iter().rev().find_map(|set| set.strip_prefix("model.name=")).unwrap_or("mlp");
    let mut sets = args.sets.clone();
    if name == "mlp" {
        sets.splice(0..0, ["model.hidden=[512,512]", "model.batch_norm=false"].map(String::from));
    }
    let (model, _) = resolve_model(name, &sets)?;
    Ok(model.build().map_err(crate::Error::Mismatch)?)
}

/// Updates of a deep Q-network on random images and transitions.
pub(super) fn dqn(args: &BenchArgs) -> anyhow::Result<()> {
    let model = network(args)?;
    let (device, input, count) = (args.device.open()?, model.input(), 5_000);
    let length = input.image_size * input.image_size * input.channels;
    let images = Images {
        name: "random images".into(),
        height: input.image_size,
        width: input.image_size,
        channels: input.channels,
        classes: input.classes,
        pixels: Arc::new((0..count * length).map(|i| (i * 7919 % 251) as u8).collect()),
        labels: (0..count).map(|i| (i % input.classes) as u32).collect(),
    };
    let options = Options { batch: args.batch as usize, ..Options::default() };
    let mut learner = Learner::new(&device, model.as_ref(), &images, options, 1)?;
    for i in 0..count as u32 {
        let reward = (i % 2) as f32;
        learner.append(&[i, (i * 31) % count as u32, i % input.classes as u32, reward.to_bits(), 0])?;
    }
    let (_, seconds, steps) = time_steps(&device, args.steps as usize, |_| Ok(learner.update()?))?;
    let peak = device.allocated_bytes();
    let ceiling = Ceiling::measure(&device)?;
    let flops = learner.update_flops() as f64 / seconds;
    let percent = 100.0 * flops / ceiling.flops;
    if args.json {
        let result = json!({
            "model": "dqn", "batch": args.batch, "device": device.name(), "steps": steps, "step_ms": seconds * 1e3,
            "updates_per_s": 1.0 / seconds, "gflops": flops / 1e9, "ceiling_percent": percent,
            "ceiling_gflops": ceiling.flops / 1e9, "peak_bytes": peak,
        });
        return print(&result.to_string());
    }
    print(&format!(
        "dqn batch {} on {}: {:.3} ms an update (median of {steps}), {:.0} updates/s, {:.1} GFLOP/s ({percent:.0} % of the \
         matmul ceiling of {:.1}), peak memory {}",
        args.batch,
        device.name(),
        seconds * 1e3,
        1.0 / seconds,
        flops / 1e9,
        ceiling.flops / 1e9,
        bytes(peak)
    ))
}

/// Probe tasks on random inputs: `--steps` training steps for each function.
pub(super) fn probe(args: &BenchArgs) -> anyhow::Result<()> {
    let (model, learns) = (network(args)?, Options::default());
    let device = args.device.open()?;
    let options = plasticity::Options {
        inputs: 2_048,
        batch: args.batch as usize,
        steps: u64::from(args.steps),
        functions: FUNCTIONS,
        learning_rate: learns.learning_rate,
        seed: 1,
        winograd: learns.winograd,
    };
    let mut probe =
        Probe::new(&device, (model.as_ref(), &Output::Scalar), options, Arc::new(learns.optimizer))?;
    let x = kernels::case::test_values(probe.inputs().words, 1);
    device.write(&probe.inputs().buffer, 0, bytemuck::cast_slice(&x))?;
    let network = Network::new(&device, "measured", model.parameters())?;
    let (values, statistics) =
        (model.parameters().initial_values(1), model.parameters().initial_statistics(1));
    network.write(&device, &values, &statistics)?;
    let start = Instant::now();
    probe.measure(&network, &mut |_| true)?;
    let seconds = start.elapsed().as_secs_f64();
    let rate = (FUNCTIONS as u64 * options.steps) as f64 / seconds;
    let peak = probe.allocated_bytes();
    if args.json {
        return print(
            &json!({
                "model": "probe", "batch": args.batch, "device": device.name(), "functions": FUNCTIONS,
                "steps": args.steps, "seconds": seconds, "function_steps_per_s": rate, "peak_bytes": peak,
            })
            .to_string(),
        );
    }
    print(&format!(
        "probe batch {} on {}: {FUNCTIONS} functions, {} steps each, in {seconds:.2} s, {rate:.0} steps/s, peak memory {}",
        args.batch,
        device.name(),
        args.steps,
        bytes(peak)
    ))
}
