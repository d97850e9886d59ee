//! Times the full training step of the models, on the CPU and on every GPU adapter; see `benches/README.md`.
//!
//! Ids are `DEVICE/step/MODEL batch N`. Before it is timed, a device must reproduce the losses that one CPU thread gets,
//! and they must fall.

mod common;

use common::{or_exit, throughput};
use engine::optim::{Adam, Optimizer};
use engine::{Clock, Cost, Device, Program};
use experiments::training_step::{METRICS, RING_ROWS, StepMemory};
use models::{MlpConfig, Model, ModelConfig, ResNetConfig, VggConfig};
use std::time::{Duration, Instant};

/// A model and its batch.
struct Subject {
    name: String,
    model: ModelConfig,
    batch: usize,
    /// Steps whose losses are compared: the deeper the network, the faster rounding grows.
    compared: u64,
    /// Small enough for a software adapter.
    small: bool,
}

fn models() -> Vec<Subject> {
    let mlp = |hidden: &[usize]| Subject {
        name: format!("mlp 784-{}-{}-10", hidden[0], hidden[1]),
        model: ModelConfig::Mlp(MlpConfig { hidden: hidden.to_vec(), ..MlpConfig::default() }),
        batch: 256,
        compared: 10,
        small: true,
    };
    let resnet = |width, head_hidden, batch| Subject {
        name: format!("resnet18 width {width}"),
        model: ModelConfig::ResNet18(ResNetConfig { width, head_hidden, ..ResNetConfig::default() }),
        batch,
        compared: 3,
        small: width < 16,
    };
    let vgg = Subject {
        name: "vgg16 64x64".into(),
        model: ModelConfig::Vgg16(VggConfig { image_size: 64, ..VggConfig::default() }),
        batch: 64,
        compared: 3,
        small: false,
    };
    vec![mlp(&[512, 256]), mlp(&[100, 100]), resnet(8, 64, 128), resnet(64, 512, 64), vgg]
}

fn main() {
    let models = models();
    for subject in common::subjects() {
        let mut criterion = subject.criterion();
        let mut group = criterion.benchmark_group(&subject.label);
        for Subject { name, model, batch, compared, .. } in models.iter().filter(|m| m.small || !subject.few)
        {
            let id = format!("step/{name} batch {batch}");
            let model = or_exit(&id, model.build());
            let mut training = None;
            group.throughput(throughput(cost(model.as_ref(), *batch)));
            group.bench_function(&id, |bencher| {
                let training = training
                    .get_or_insert_with(|| checked(&subject.device, model.as_ref(), *batch, *compared, &id));
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
    fn new(device: &Device, model: &dyn Model, batch: usize) -> experiments::Result<Self> {
        let optimizer = Adam { clip: Some(0.5), ..Adam::adamw(0.01) };
        let mut memory = StepMemory::new(device, model, optimizer, batch, 1)?;
        let input = model.input();
        let pixels = input.image_size * input.image_size * input.channels;
        let x = kernels::case::test_values(batch * pixels, 1);
        let y: Vec<u32> = (0..batch as u32).map(|i| i % 10).collect();
        device.write(&memory.x, 0, bytemuck::cast_slice(&x))?;
        device.write(&memory.y, 0, &y)?;
        let step = memory.training(device, model, batch)?;
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
            Adam::adamw(0.01).set_clock(&mut clock, self.steps, 1e-3);
            self.program.run(&clock)?;
        }
        self.device.finish()?;
        Ok(start.elapsed())
    }

    /// The losses of the first so many steps.
    fn losses(&mut self, steps: u64) -> engine::Result<Vec<f32>> {
        self.run(steps)?;
        let ring = self.device.read_f32(&self.memory.ring.slice(0, steps as usize * METRICS))?;
        Ok(ring.into_iter().step_by(METRICS).collect())
    }
}

/// A training whose first losses are right.
fn checked(device: &Device, model: &dyn Model, batch: usize, compared: u64, id: &str) -> Training {
    let mut training = or_exit(id, Training::new(device, model, batch));
    let losses = or_exit(id, training.losses(compared));
    let mut alone = or_exit(id, Training::new(&or_exit("cpu", Device::cpu(1)), model, batch));
    let expected = or_exit(id, alone.losses(compared));
    let close =
        losses.iter().zip(&expected).all(|(loss, expected)| (loss - expected).abs() <= 1e-3 * expected);
    let falling = losses[losses.len() - 1] < losses[0];
    let outcome = if close && falling { Ok(()) } else { Err(format!("losses {losses:?}, not {expected:?}")) };
    or_exit(&format!("{id} on {}", device.name()), outcome);
    training
}

/// What all launches of a step cost together.
fn cost(model: &dyn Model, batch: usize) -> Cost {
    let training = or_exit("cost of a step", Training::new(&or_exit("cpu", Device::cpu(1)), model, batch));
    training.program.report().iter().fold(Cost::default(), |sum, launch| Cost {
        flops: sum.flops + launch.cost.flops,
        bytes: sum.bytes + launch.cost.bytes,
    })
}
