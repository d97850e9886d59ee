//! The steady state of training: once warm, steps of a full and of a last batch, with the tortoise, create nothing,
//! upload nothing, read only the metrics, and on the CPU allocate nothing.

mod common;

use data::LoadOptions;
use engine::Device;
use experiments::Config;
use experiments::config::parse_set;
use experiments::interventions::Tortoise;
use experiments::protocols::schedule::{Phase, phases};
use experiments::trainer::Trainer;
use experiments::training_step::RING_ROWS;
use kernels::Clock;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The system's allocator, counting while [`COUNTING`].
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

fn count() {
    if COUNTING.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A phase in training.
struct Training {
    config: Config,
    trainer: Trainer,
    tortoise: Tortoise,
    phase: Phase,
    step: u64,
    read: u64,
    loss: f64,
}

impl Training {
    /// 600 images in batches of 256: two full batches and one of 88 per epoch.
    fn new(device: &Device, hidden: &str) -> Self {
        let sets = ["data.set=strokes", "optimizer.batch=256", "model.dropout=0.1", hidden];
        let layers: Vec<_> = sets.iter().map(|set| parse_set(set).unwrap()).collect();
        let config = Config::resolve(&layers).unwrap();
        let options = LoadOptions { train: 600, test: 200, ..LoadOptions::default() };
        let data = data::load("strokes", Path::new(""), &options).unwrap();
        let mut trainer = Trainer::new(device, &config, &data).unwrap();
        let tortoise = Tortoise::new(&trainer, 0.999).unwrap();
        let phase = phases(&config, &data.train.labels, 10).unwrap().remove(0);
        assert_eq!((phase.batches, phase.examples.len()), (3, 600));
        trainer.begin_phase(&phase).unwrap();
        Self { config, trainer, tortoise, phase, step: 0, read: 0, loss: 0.0 }
    }

    fn steps(&mut self, steps: u64) {
        for _ in 0..steps {
            let batches = self.phase.batches as u64;
            let clock = Clock {
                seed: 1,
                step: self.step as u32,
                epoch: (self.step / batches) as u32,
                cursor: (self.step % batches) as u32 * 256,
                slot: (self.step % RING_ROWS as u64) as u32,
                ..Clock::default()
            };
            let rate = self.phase.learning_rate(&self.config, self.step);
            self.trainer.step(&clock, self.step + 1, rate, self.phase.examples.len()).unwrap();
            self.tortoise.follow().unwrap();
            if self.step % 100 == 99 {
                self.tortoise.pull_hare().unwrap();
            }
            self.step += 1;
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

// One test: another beside it would allocate.
#[test]
fn training_reaches_a_steady_state() {
    let cases = [("model.hidden=[16,12]", 1), ("model.hidden=[16,12]", 3), ("model.hidden=[64,32]", 3)];
    for (hidden, threads) in cases {
        let device = Device::cpu(threads);
        let mut training = Training::new(&device, hidden);
        training.steps(256 + 10);
        let (counters, bytes) = (device.counters(), device.allocated_bytes());
        COUNTING.store(true, Ordering::SeqCst);
        training.steps(1000);
        COUNTING.store(false, Ordering::SeqCst);
        let allocations = ALLOCATIONS.swap(0, Ordering::SeqCst);
        let after = device.counters();
        assert_eq!(allocations, 0, "{hidden}, {threads} threads: heap allocations in 1,000 steps");
        assert_eq!((after.objects, after.uploads), (counters.objects, counters.uploads), "{hidden}");
        // 1,266 steps: the ring was full after 512, 768 and 1,024 of them.
        assert_eq!(after.reads - counters.reads, 3, "{hidden}: reads of the metrics ring");
        assert_eq!(device.allocated_bytes(), bytes, "{hidden}");
        assert!(training.loss < 1.8, "it trained, from 2.3 to {}", training.loss);
    }

    let device = Device::open(common::wgsl_device(), 0).unwrap();
    let mut training = Training::new(&device, "model.hidden=[16,12]");
    training.steps(20);
    training.read_metrics();
    let (counters, bytes, first) = (device.counters(), device.allocated_bytes(), training.loss);
    training.steps(60);
    assert_eq!(device.counters(), counters, "60 steps through WGSL");
    assert_eq!(device.allocated_bytes(), bytes);
    training.read_metrics();
    let after = device.counters();
    assert_eq!(
        (after.objects, after.uploads, after.reads),
        (counters.objects, counters.uploads, counters.reads + 1)
    );
    assert!(training.loss.is_finite() && training.loss < first, "it trained: {first}, {}", training.loss);
}
