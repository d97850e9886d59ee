//! Times the full training step of the MLPs, on the CPU and on every GPU adapter; see `benches/README.md`.
//!
//! Ids are `DEVICE/step/MODEL batch N`. Before it is timed, a device must reproduce the losses that one CPU thread gets,
//! and they must fall.

mod common;

use common::{or_exit, throughput};
use engine::optim::{AdamW, METRICS};
use engine::{Clock, Cost, Device, Program};
use experiments::training_step::{RING_ROWS, StepMemory};
use models::{Mlp, MlpConfig};
use std::time::{Duration, Instant};

const BATCH: usize = 256;
/// Steps whose losses are compared.
const COMPARED: u64 = 10;

fn main() {
    for subject in common::subjects() {
        let mut criterion = subject.criterion();
        let mut group = criterion.benchmark_group(&subject.label);
        for hidden in [vec![512, 256], vec![100, 100]] {
            let widths: Vec<String> = hidden.iter().map(ToString::to_string).collect();
            let id = format!("step/mlp 784-{}-10 batch {BATCH}", widths.join("-"));
            let model = Mlp::new(MlpConfig { hidden, ..MlpConfig::default() });
            let mut training = None;
            group.throughput(throughput(cost(&model)));
            group.bench_function(&id, |bencher| {
                let training = training.get_or_insert_with(|| checked(&subject.device, &model, &id));
                bencher.iter_custom(|steps| or_exit(&id, training.run(steps)));
            });
        }
        group.finish();
    }
}

/// A model that trains on one fixed batch.
struct Training {
    device: Device,
    memory: StepMemory,
    program: Program,
    steps: u64,
}

impl Training {
    fn new(device: &Device, model: &Mlp) -> experiments::Result<Self> {
        let mut memory = StepMemory::new(device, model, BATCH, 1)?;
        let x = kernels::case::test_values(BATCH * 28 * 28, 1);
        let y: Vec<u32> = (0..BATCH as u32).map(|i| i % 10).collect();
        device.write(&memory.x, 0, bytemuck::cast_slice(&x))?;
        device.write(&memory.y, 0, &y)?;
        let optimizer = AdamW { clip: Some(0.5), ..AdamW::default() };
        let step = memory.training(device, model, &optimizer, BATCH)?;
        let program = device.compile(step.launches)?;
        Ok(Self { device: device.clone(), memory, program, steps: 0 })
    }

    /// Time of this many steps.
    fn run(&mut self, steps: u64) -> engine::Result<Duration> {
        let start = Instant::now();
        for _ in 0..steps {
            let slot = (self.steps % RING_ROWS as u64) as u32;
            let mut clock = Clock { seed: 1, step: self.steps as u32, slot, ..Clock::default() };
            self.steps += 1;
            AdamW::default().set_clock(&mut clock, self.steps, 1e-3);
            self.program.run(&clock)?;
        }
        self.device.finish()?;
        Ok(start.elapsed())
    }

    /// The losses of the first steps.
    fn losses(&mut self) -> engine::Result<Vec<f32>> {
        self.run(COMPARED)?;
        let ring = self.device.read_f32(&self.memory.ring.slice(0, COMPARED as usize * METRICS))?;
        Ok(ring.into_iter().step_by(METRICS).collect())
    }
}

/// A training whose first losses are right.
fn checked(device: &Device, model: &Mlp, id: &str) -> Training {
    let mut training = or_exit(id, Training::new(device, model));
    let losses = or_exit(id, training.losses());
    let expected = or_exit(id, or_exit(id, Training::new(&Device::cpu(1), model)).losses());
    let close =
        losses.iter().zip(&expected).all(|(loss, expected)| (loss - expected).abs() <= 1e-3 * expected);
    let falling = losses[losses.len() - 1] < 0.9 * losses[0];
    let outcome = if close && falling { Ok(()) } else { Err(format!("losses {losses:?}, not {expected:?}")) };
    or_exit(&format!("{id} on {}", device.name()), outcome);
    training
}

/// What all launches of a step cost together.
fn cost(model: &Mlp) -> Cost {
    let training = or_exit("cost of a step", Training::new(&Device::cpu(1), model));
    training.program.report().iter().fold(Cost::default(), |sum, launch| Cost {
        flops: sum.flops + launch.cost.flops,
        bytes: sum.bytes + launch.cost.bytes,
    })
}
