//! What a device can reach at most, measured: the yardstick of profiles and benchmarks.

use crate::device::{Device, Launch};
use crate::error::Result;
use kernels::matmul::{Activation, Matmul};
use kernels::{Clock, Kernel};
use std::sync::Arc;
use std::time::Instant;

/// Measured ceilings of a device.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    /// f32 matrix multiplication, floating-point operations per second.
    pub flops: f64,
    /// Copy of a large arena, bytes read and written per second.
    pub bytes: f64,
}

impl Ceiling {
    /// Measures both, in well under a second on a CPU or a real GPU.
    ///
    /// # Errors
    /// Out of memory or device loss.
    pub fn measure(device: &Device) -> Result<Self> {
        let software = device.gpu_traits().is_some_and(|traits| traits.software);
        let (n, words) = if software { (256, 1 << 20) } else { (1024, 8 << 20) };
        let matmul = Matmul {
            batch: 1,
            m: n,
            n,
            k: n,
            a_transposed: false,
            b_transposed: false,
            bias: false,
            activation: Activation::None,
        };
        let copy = kernels::arena::Copy { len: words };
        Ok(Self {
            flops: matmul.cost().flops as f64 / seconds(device, Arc::new(matmul))?,
            bytes: copy.cost().bytes as f64 / seconds(device, Arc::new(copy))?,
        })
    }
}

/// Median seconds of one kernel alone, after a warm-up.
fn seconds(device: &Device, kernel: Arc<dyn Kernel>) -> Result<f64> {
    let slices = kernel
        .bindings()
        .iter()
        .map(|binding| {
            let ones = vec![1f32.to_bits(); binding.words];
            Ok(device.buffer_with(binding.name, &ones)?.slice(0, binding.words))
        })
        .collect::<Result<_>>()?;
    let program = device.compile(vec![Launch::new("ceiling", kernel, slices)])?;
    let clock = Clock::default();
    // Several runs between two waits, so that the cost of waiting for a GPU does not count.
    let runs = 8;
    let mut times = Vec::new();
    for _ in 0..8 {
        let start = Instant::now();
        for _ in 0..runs {
            program.run(&clock)?;
        }
        device.finish()?;
        times.push(start.elapsed().as_secs_f64() / f64::from(runs));
    }
    times.remove(0);
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
