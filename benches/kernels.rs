//! Times every kernel at the shapes of real layers, on the CPU and on every GPU adapter; see `benches/README.md`.
//!
//! Ids are `DEVICE/KERNEL/SHAPE`, such as `cpu/matmul/256x512x784 nt +bias +relu`. Each case is run once and compared
//! with its f64 definition before it is timed.

mod common;

use common::{Subject, or_exit, throughput};
use engine::{Clock, Device, Launch, Program};
use kernels::case::POISON;
use kernels::{Access, Case, Size};
use std::time::{Duration, Instant};

/// Launches in a program on a real GPU, where a step has as many: so the cost of a submit is shared as it is there.
const LAUNCHES: u64 = 32;

/// What a software adapter runs by default: kernels of a training step of the MLPs, and the passes of a convolution.
const FEW: [&str; 12] = [
    "matmul/256x512x784 nt +bias +relu",
    "matmul/256x100x100 nt +bias +relu",
    "conv2d/forward/64x4x4x512 -> 512, 3x3 s1 p1",
    "conv2d/backward_data/64x4x4x512 -> 512, 3x3 s1 p1",
    "conv2d/backward_weight/64x4x4x512 -> 512, 3x3 s1 p1",
    "batch_norm/forward/256x512 +relu",
    "loss/cross_entropy/256x10",
    "arena/adamw/537354",
    "arena/blend/537354 keep 0.999",
    "arena/regen/537354",
    "arena/perturb/537408 keep 0.999 scale 0.001",
    "gather/batch/256x784/1 of 6000 shuffled",
];

fn main() {
    let cases: Vec<Case> = kernels::cases().into_iter().filter(|case| case.size == Size::Real).collect();
    for subject in common::subjects() {
        let mut criterion = subject.criterion();
        let mut group = criterion.benchmark_group(&subject.label);
        for case in &cases {
            let id = format!("{}/{}", case.kernel.name(), case.kernel.shape());
            if subject.few && !FEW.contains(&id.as_str()) {
                continue;
            }
            // Prepared when first asked for, so that cases that the filter leaves out cost nothing.
            let mut timed = None;
            group.throughput(throughput(case.kernel.cost()));
            group.bench_function(id, |bencher| {
                let timed = timed.get_or_insert_with(|| Timed::new(&subject, case));
                bencher.iter_custom(|runs| or_exit(&format!("{case:?}"), timed.run(runs)));
            });
        }
        group.finish();
    }
}

/// A case in the memory of a device.
struct Timed {
    device: Device,
    program: Program,
    /// How often the program launches the kernel.
    launches: u64,
    clock: Clock,
}

impl Timed {
    /// Loads a case and checks it.
    fn new(subject: &Subject, case: &Case) -> Self {
        let what = format!("{case:?} on {}", subject.device.name());
        let launch = or_exit(&what, load(&subject.device, case));
        or_exit(&what, check(&subject.device, case, launch.clone()));
        let real_gpu = subject.device.gpu_traits().is_some_and(|traits| !traits.software);
        let launches = if real_gpu { LAUNCHES } else { 1 };
        let program = or_exit(&what, subject.device.compile(vec![launch; launches as usize]));
        Self { device: subject.device.clone(), program, launches, clock: case.clock }
    }

    /// Time of this many runs; whole programs are run and their time is scaled.
    fn run(&self, runs: u64) -> engine::Result<Duration> {
        let programs = runs.div_ceil(self.launches);
        let start = Instant::now();
        for _ in 0..programs {
            self.program.run(&self.clock)?;
        }
        self.device.finish()?;
        Ok(start.elapsed().mul_f64(runs as f64 / (programs * self.launches) as f64))
    }
}

/// The kernel with its inputs in device memory; written buffers are poisoned.
fn load(device: &Device, case: &Case) -> engine::Result<Launch> {
    let mut slices = Vec::new();
    for (binding, input) in case.kernel.bindings().iter().zip(&case.inputs) {
        let buffer = match binding.access {
            Access::Write => device.buffer_with(binding.name, &vec![POISON; binding.words])?,
            _ => device.buffer_with(binding.name, &input.words())?,
        };
        slices.push(buffer.slice(0, binding.words));
    }
    Ok(Launch::new(format!("{case:?}"), case.kernel.clone(), slices))
}

/// One run, compared with the definition.
fn check(device: &Device, case: &Case, launch: Launch) -> Result<(), String> {
    let buffers = || -> engine::Result<Vec<Vec<u32>>> {
        let slices = launch.slices.clone();
        device.compile(vec![launch])?.run(&case.clock)?;
        slices.iter().map(|slice| device.read(&slice.buffer, 0..slice.words)).collect()
    };
    case.compare(&buffers().map_err(|error| error.to_string())?)
}
