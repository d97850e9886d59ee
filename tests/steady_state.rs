//! The steady state of training: once warm, steps of a full and of a last batch, with the tortoise, create nothing,
//! upload nothing, read only the metrics, and on the CPU allocate nothing.

#[path = "common/allocations.rs"]
#[allow(dead_code, unreachable_pub)]
mod allocations;
mod common;

use allocations::allocations;
use data::LoadOptions;
use engine::Device;
use experiments::Config;
use experiments::config::parse_set;
use experiments::interventions::{Interventions, Memory, optimizer};
use experiments::schedule::{Phase, phases};
use experiments::trainer::Trainer;
use experiments::training_step::RING_ROWS;
use kernels::Clock;
use std::path::Path;

/// A phase in training.
struct Training {
    config: Config,
    trainer: Trainer,
    interventions: Interventions,
    methods: Memory,
    phase: Phase,
    step: u64,
    read: u64,
    loss: f64,
}

impl Training {
    /// Two full batches and one of a third per epoch.
    fn new(device: &Device, sets: &[&str]) -> Self {
        let layers: Vec<_> = RESETS.iter().chain(sets).map(|set| parse_set(set).unwrap()).collect();
        let config = Config::resolve(&layers).unwrap();
        let train = config.optimizer.batch * 7 / 3;
        let side = Some(config.model.build().unwrap().input().image_size);
        let options = LoadOptions { train, test: 200, side, ..LoadOptions::default() };
        let data = data::load(&config.data.set, Path::new(""), &options).unwrap();
        let mut trainer = Trainer::new(device, &config, optimizer(&config), &data).unwrap();
        let interventions = Interventions::new(&mut trainer, &config).unwrap();
        let phase = phases(&config, &data.train.labels, 10).unwrap().remove(0);
        assert_eq!((phase.batches, phase.examples.len()), (3, train));
        trainer.begin_phase(&phase).unwrap();
        let methods = Memory::default();
        Self { config, trainer, interventions, methods, phase, step: 0, read: 0, loss: 0.0 }
    }

    fn steps(&mut self, steps: u64) {
        for _ in 0..steps {
            let batches = self.phase.batches as u64;
            let clock = Clock {
                seed: 1,
                step: self.step as u32,
                epoch: (self.step / batches) as u32,
                cursor: (self.step % batches) as u32 * self.config.optimizer.batch as u32,
                slot: (self.step % RING_ROWS as u64) as u32,
                ..Clock::default()
            };
            let rate = self.phase.learning_rate(&self.config, self.step);
            self.trainer.step(&clock, self.step + 1, rate, self.phase.examples.len()).unwrap();
            self.step += 1;
            self.interventions.after_step(&self.trainer, self.step, &mut self.methods).unwrap();
            if self.step - self.read == RING_ROWS as u64 {
                self.read_metrics();
            }
        }
    }

    fn read_metrics(&mut self) {
        let (mut loss, from) = (0.0, self.read);
        self.trainer.metrics(from, self.step, |_, metrics| loss = f64::from(metrics.loss)).unwrap();
        (self.loss, self.read) = (loss, self.step);
    }
}

const RESETS: [&str; 4] = [
    "intervention.method=hare-tortoise",
    "intervention.hare-tortoise.reset_unit=steps",
    "intervention.hare-tortoise.reset_interval=100",
    "intervention.hare-tortoise.first_reset=after-interval",
];
/// All that methods add to a step.
const ADDITIONS: &[&str] = &[
    "data.set=strokes",
    "model.hidden=[16,12]",
    "intervention.method=hare-tortoise+spectral-decoupling+self-distillation+regen+shrink-perturb",
    "intervention.shrink-perturb.variant=per-step",
    "intervention.regen.strength=1e-4",
];
const SMALL: &[&str] = &["data.set=strokes", "model.dropout=0.1", "model.hidden=[16,12]"];
const LARGER: &[&str] = &["data.set=strokes", "model.dropout=0.1", "model.hidden=[64,32]"];
const RESNET: &[&str] = &[
    "model.name=resnet18",
    "model.width=4",
    "model.head_hidden=8",
    "model.image_size=16",
    "data.set=scenes",
    "data.augment=true",
    "optimizer.batch=24",
];
const VGG: &[&str] = &[
    "model.name=vgg16",
    "model.width=4",
    "model.head_hidden=8",
    "model.image_size=32",
    "model.classes=10",
    "data.set=scenes",
    "optimizer.batch=12",
];
const VIT: &[&str] = &[
    "model.name=vit-tiny",
    "model.dim=12",
    "model.heads=3",
    "model.depth=2",
    "model.image_size=16",
    "model.classes=10",
    "data.set=scenes",
    "optimizer.batch=12",
];

// One test: another beside it would allocate.
#[test]
fn training_reaches_a_steady_state() {
    for (sets, threads) in
        [(SMALL, 1), (SMALL, 3), (LARGER, 3), (ADDITIONS, 2), (RESNET, 2), (VGG, 2), (VIT, 2)]
    {
        let device = Device::cpu(threads).unwrap();
        let mut training = Training::new(&device, sets);
        training.steps(256 + 10);
        let (counters, bytes) = (device.counters(), device.allocated_bytes());
        let before = allocations();
        training.steps(1000);
        let allocated = allocations() - before;
        let after = device.counters();
        assert_eq!(allocated, 0, "{sets:?}, {threads} threads: heap allocations in 1,000 steps");
        assert_eq!((after.objects, after.uploads), (counters.objects, counters.uploads), "{sets:?}");
        // 1,266 steps: the ring was full after 512, 768 and 1,024 of them.
        assert_eq!(after.reads - counters.reads, 3, "{sets:?}: reads of the metrics ring");
        assert_eq!(device.allocated_bytes(), bytes, "{sets:?}");
        assert!(training.loss < 2.25, "{sets:?}: it trained, from 2.3 to {}", training.loss);
    }

    let device = Device::open(common::wgsl_device(), 0).unwrap();
    for (sets, steps) in [(SMALL, 60), (ADDITIONS, 60), (RESNET, 6), (VIT, 6)] {
        let mut training = Training::new(&device, sets);
        training.steps(steps / 3);
        training.read_metrics();
        let (counters, bytes, first) = (device.counters(), device.allocated_bytes(), training.loss);
        training.steps(steps);
        assert_eq!(device.counters(), counters, "{sets:?}: {steps} steps through WGSL");
        assert_eq!(device.allocated_bytes(), bytes);
        training.read_metrics();
        let after = device.counters();
        assert_eq!(
            (after.objects, after.uploads, after.reads),
            (counters.objects, counters.uploads, counters.reads + 1)
        );
        let last = training.loss;
        assert!(last.is_finite() && (steps < 60 || last < first), "{sets:?}: {first}, {last}");
    }
}
