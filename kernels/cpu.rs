//! The CPU as kernels see it: its vector instructions and its threads.

use crate::error::CpuError;
use crate::simd::Isa;
use crate::threads::Threads;

/// Work below which another thread costs more than it helps (about 2 microseconds on one thread).
const FLOPS_PER_THREAD: usize = 400_000;

/// Vector instructions and worker threads: all that a CPU kernel needs from the machine.
#[derive(Debug)]
pub struct Cpu {
    /// The instruction set chosen at run time.
    pub isa: Isa,
    /// The persistent workers.
    pub threads: Threads,
}

impl Cpu {
    /// The instruction set of [`Isa::detect`] and `threads` threads, the calling one included; 0 takes one per processor, or
    /// as many as the system allows.
    ///
    /// # Errors
    /// An instruction set or a number of threads that cannot be had.
    pub fn new(threads: usize) -> Result<Self, CpuError> {
        let isa = Isa::detect()?;
        let threads = match threads {
            0 => Threads::at_most(std::thread::available_parallelism().map_or(1, usize::from)),
            count => Threads::new(count)?,
        };
        Ok(Self { isa, threads })
    }

    /// How many threads so much work is worth.
    pub(crate) fn threads_for(&self, flops: usize) -> usize {
        (flops / FLOPS_PER_THREAD).clamp(1, self.threads.count())
    }
}

/// Scratch memory from its first whole cache line on: a vector that straddles two lines costs two loads. Ask for
/// [`LANES`](crate::simd::LANES) floats more than are needed.
pub(crate) fn aligned(scratch: &mut [f32]) -> &mut [f32] {
    let start = scratch.as_ptr().align_offset(64).min(scratch.len());
    &mut scratch[start..]
}
