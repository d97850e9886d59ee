//! Times the matrix multiplication of the CPU device side by side with the `gemm` crate.
//!
//! ```text
//! cargo run --release -p kernels --example matmul_speed -- [THREADS] [MxNxK:LAYOUT ...]
//! ```
//!
//! LAYOUT is nn, nt, tn or tt. Both libraries run in turns in the same process, and the table shows the median of
//! each: on a shared machine the ratio says more than either number. Outputs are compared by norm.

use gemm::Parallelism;
use kernels::case::test_values;
use kernels::matmul::{Activation, Matmul};
use kernels::{Arg, Clock, Cpu, Kernel};
use std::time::Instant;

const SHAPES: &[&str] = &[
    "512x512x512:nn",
    "1024x1024x1024:nn",
    "1024x1024x1024:nt",
    "1024x1024x1024:tn",
    "2048x2048x2048:nn",
    "256x512x784:nt",
    "256x784x512:nn",
    "512x784x256:tn",
    "256x256x512:nt",
    "256x512x256:nn",
    "256x512x256:tn",
    "256x10x256:nt",
    "256x256x10:nn",
    "10x256x256:tn",
    "256x100x784:nt",
    "256x784x100:nn",
    "100x784x256:tn",
    "256x100x100:nt",
    "256x100x100:nn",
    "100x100x256:tn",
    "256x10x100:nt",
    "256x100x10:nn",
    "10x100x256:tn",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let threads = arguments.first().map_or(2, |text| text.parse().expect("THREADS is a number"));
    let mut shapes: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    if shapes.is_empty() {
        shapes = SHAPES.to_vec();
    }
    let cpu = Cpu::new(threads).unwrap();
    println!("{:?}, {threads} threads, medians", cpu.isa);
    println!(
        "{:>24} | {:>10} | {:>9} | {:>9} | {:>5}",
        "MxNxK", "ours us", "ours GF/s", "gemm GF/s", "ratio"
    );
    for text in shapes {
        let matmul = parse(text);
        let (ours, theirs) = time(&cpu, &matmul);
        let flops = matmul.cost().flops as f64;
        println!(
            "{:>24} | {:>10.1} | {:>9.1} | {:>9.1} | {:>5.2}",
            matmul.shape(),
            ours * 1e6,
            flops / ours / 1e9,
            flops / theirs / 1e9,
            theirs / ours
        );
    }
}

/// Reads a shape such as `256x512x784:nt`.
fn parse(text: &str) -> Matmul {
    let (sizes, layout) = text.split_once(':').unwrap_or((text, "nn"));
    let sizes: Vec<usize> = sizes.split('x').map(|size| size.parse().expect("sizes are MxNxK")).collect();
    let [m, n, k] = sizes[..] else { panic!("{text}: sizes are MxNxK") };
    Matmul {
        batch: 1,
        m,
        n,
        k,
        a_transposed: layout.starts_with('t'),
        b_transposed: layout.ends_with('t'),
        bias: false,
        activation: Activation::None,
    }
}

/// Median seconds of both libraries.
fn time(cpu: &Cpu, matmul: &Matmul) -> (f64, f64) {
    let Matmul { m, n, k, .. } = *matmul;
    // Aligned as the engine's buffers are, for both.
    let (a, b) = (Aligned::new(&test_values(m * k, 1)), Aligned::new(&test_values(k * n, 2)));
    let (a, b) = (a.floats(), b.floats());
    let mut scratch = vec![0; matmul.cpu_scratch(cpu)];
    let (mut c, mut reference) = (Aligned::new(&vec![0.0; m * n]), Aligned::new(&vec![0.0; m * n]));
    // Small products are timed in groups, long enough for the clock.
    let group = (1e7 / matmul.cost().flops as f64).ceil() as usize;
    let rounds = (4e10 / (matmul.cost().flops as f64 * group as f64)).clamp(15.0, 301.0) as usize;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..group {
            let arguments = [
                Arg::Read(bytemuck::cast_slice(a)),
                Arg::Read(bytemuck::cast_slice(b)),
                Arg::Write(bytemuck::cast_slice_mut(c.floats_mut())),
            ];
            kernels::run(matmul, cpu, &Clock::default(), arguments, &mut scratch)
                .expect("as many and as long as declared");
        }
        ours.push(start.elapsed().as_secs_f64() / group as f64);
        let start = Instant::now();
        for _ in 0..group {
            multiply_with_gemm(matmul, a, b, reference.floats_mut(), cpu.threads.count());
        }
        theirs.push(start.elapsed().as_secs_f64() / group as f64);
    }
    let (c, reference) = (c.floats(), reference.floats());
    let difference: f64 = c.iter().zip(reference).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    let norm: f64 = reference.iter().map(|&y| f64::from(y).powi(2)).sum();
    assert!(difference.sqrt() <= 1e-5 * norm.sqrt(), "{matmul:?}: the libraries disagree");
    (median(ours), median(theirs))
}

/// Floats that start on a boundary of 256 bytes.
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
    fn floats(&self) -> &[f32] {
        &self.memory[self.range.clone()]
    }
    fn floats_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.range.clone()]
    }
}

fn multiply_with_gemm(matmul: &Matmul, a: &[f32], b: &[f32], c: &mut [f32], threads: usize) {
    let Matmul { m, n, k, .. } = *matmul;
    let strides =
        |transposed, rows, columns| if transposed { (rows as isize, 1) } else { (1, columns as isize) };
    let (a_column, a_row) = strides(matmul.a_transposed, m, k);
    let (b_column, b_row) = strides(matmul.b_transposed, k, n);
    let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    // SAFETY: the slices hold the matrices of these sizes and strides.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            a_column,
            a_row,
            b.as_ptr(),
            b_column,
            b_row,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
