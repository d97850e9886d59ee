//! Times the three passes of the convolution on the CPU, with and without Winograd's method, in turns in one process.
//!
//! ```text
//! cargo run --release -p kernels --example conv2d_speed -- [THREADS] [RUNS] [WORD ...]
//! ```
//!
//! Only lines that contain every WORD are measured, such as `forward winograd 64x8x8x256`. A line ends after RUNS runs
//! or two seconds. GF/s counts the arithmetic of the direct method, whichever is used.

use kernels::case::test_values;
use kernels::conv2d::{Conv2d, Conv2dBackwardData, Conv2dBackwardWeight, Conv2dForward};
use kernels::{Arg, Args, Clock, Cpu, Kernel};
use std::time::{Duration, Instant};

/// Batch, height and width, channels in and out, filter, stride, padding.
const SHAPES: &[[usize; 7]] = &[
    // ResNet-18 at 32x32.
    [64, 32, 3, 64, 3, 1, 1],
    [64, 32, 64, 64, 3, 1, 1],
    [64, 32, 64, 128, 3, 2, 1],
    [64, 32, 64, 128, 1, 2, 0],
    [64, 16, 128, 128, 3, 1, 1],
    [64, 16, 128, 256, 3, 2, 1],
    [64, 16, 128, 256, 1, 2, 0],
    [64, 8, 256, 256, 3, 1, 1],
    [64, 8, 256, 512, 3, 2, 1],
    [64, 8, 256, 512, 1, 2, 0],
    [64, 4, 512, 512, 3, 1, 1],
    // VGG-16 at 64x64.
    [64, 64, 3, 64, 3, 1, 1],
    [64, 64, 64, 64, 3, 1, 1],
    [64, 32, 64, 128, 3, 1, 1],
    [64, 32, 128, 128, 3, 1, 1],
    [64, 16, 128, 256, 3, 1, 1],
    [64, 16, 256, 256, 3, 1, 1],
    [64, 8, 256, 512, 3, 1, 1],
    [64, 8, 512, 512, 3, 1, 1],
    // ResNets of width 8 and 16.
    [128, 32, 3, 8, 3, 1, 1],
    [128, 32, 8, 8, 3, 1, 1],
    [128, 32, 8, 16, 3, 2, 1],
    [128, 32, 8, 16, 1, 2, 0],
    [128, 16, 16, 16, 3, 1, 1],
    [128, 16, 16, 32, 3, 2, 1],
    [128, 16, 16, 32, 1, 2, 0],
    [128, 8, 32, 32, 3, 1, 1],
    [128, 8, 32, 64, 3, 2, 1],
    [128, 8, 32, 64, 1, 2, 0],
    [128, 4, 64, 64, 3, 1, 1],
    [128, 32, 3, 16, 3, 1, 1],
    [128, 32, 16, 16, 3, 1, 1],
    [128, 32, 16, 32, 3, 2, 1],
    [128, 32, 16, 32, 1, 2, 0],
    [128, 16, 32, 32, 3, 1, 1],
    [128, 16, 32, 64, 3, 2, 1],
    [128, 16, 32, 64, 1, 2, 0],
    [128, 8, 64, 64, 3, 1, 1],
    [128, 8, 64, 128, 3, 2, 1],
    [128, 8, 64, 128, 1, 2, 0],
    [128, 4, 128, 128, 3, 1, 1],
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: usize| {
        arguments.get(index).map_or(default, |text| text.parse().expect("THREADS and RUNS are numbers"))
    };
    let (threads, runs) = (number(0, 2), number(1, 15));
    let words = arguments.get(2..).unwrap_or_default();
    let cpu = Cpu::new(threads);
    println!("{:?}, {threads} threads", cpu.isa);
    println!("{:>58} | {:>9} | {:>9} | {:>7}", "", "median ms", "least ms", "GF/s");
    for &[batch, side, in_channels, out_channels, kernel, stride, padding] in SHAPES {
        let conv =
            Conv2d { batch, height: side, width: side, in_channels, out_channels, kernel, stride, padding };
        for pass in 0..3 {
            let mut kernels: Vec<(String, Box<dyn Kernel>)> = Vec::new();
            for (winograd, method) in [(true, "winograd"), (false, "direct")] {
                let kernel: Box<dyn Kernel> = match pass {
                    0 => Box::new(Conv2dForward { conv, bias: false, winograd }),
                    1 => Box::new(Conv2dBackwardData { conv, winograd }),
                    _ => Box::new(Conv2dBackwardWeight { conv, winograd }),
                };
                let label = format!("{} {} {method}", kernel.name(), kernel.shape());
                if words.iter().all(|word| label.contains(word)) {
                    kernels.push((label, kernel));
                }
            }
            for ((label, kernel), mut seconds) in kernels.iter().zip(time(&cpu, &kernels, runs)) {
                seconds.sort_by(f64::total_cmp);
                let (least, median) = (seconds[0], seconds[seconds.len() / 2]);
                println!(
                    "{label:>58} | {:>9.3} | {:>9.3} | {:>7.1}",
                    median * 1e3,
                    least * 1e3,
                    kernel.cost().flops as f64 / least / 1e9
                );
            }
        }
    }
}

/// Seconds of every run of kernels that have the same buffers.
fn time(cpu: &Cpu, kernels: &[(String, Box<dyn Kernel>)], runs: usize) -> Vec<Vec<f64>> {
    let mut seconds = vec![Vec::new(); kernels.len()];
    let Some((_, first)) = kernels.first() else { return seconds };
    let scratch = kernels.iter().map(|(_, kernel)| kernel.cpu_scratch(cpu)).max().unwrap_or(0);
    let mut scratch = Aligned::new(&vec![0.0; scratch]);
    let mut buffers: Vec<Aligned> =
        first.bindings().iter().map(|binding| Aligned::new(&test_values(binding.words, 1))).collect();
    let limit = Instant::now() + Duration::from_secs(2 * kernels.len() as u64);
    for run in 0..=runs {
        for (seconds, (_, kernel)) in seconds.iter_mut().zip(kernels) {
            let [a, b, c] = &mut buffers[..] else { panic!("a convolution has three buffers") };
            let arguments = [Arg::Read(a.words()), Arg::Read(b.words()), Arg::Write(c.words())];
            let start = Instant::now();
            kernel.run(cpu, &Clock::default(), &mut Args::new(arguments, scratch.words()));
            // The first run meets fresh memory.
            if run > 0 || Instant::now() > limit {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        if Instant::now() > limit {
            break;
        }
    }
    seconds
}

/// Words that start on a boundary of 256 bytes, as the engine's buffers do.
struct Aligned {
    memory: Vec<f32>,
    range: std::ops::Range<usize>,
}

impl Aligned {
    fn new(values: &[f32]) -> Self {
        let mut memory = vec![0.0; values.len() + 64];
        let start = memory.as_ptr().align_offset(256);
        let range = start..start + values.len();
        memory[range.clone()].copy_from_slice(values);
        Self { memory, range }
    }
    fn words(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(&mut self.memory[self.range.clone()])
    }
}
