//! The CPU as kernels see it: its vector instructions and its threads.

use crate::simd::Isa;
use crate::threads::Threads;

/// Vector instructions and worker threads: all that a CPU kernel needs from the machine.
#[derive(Debug)]
pub struct Cpu {
    /// The instruction set chosen at run time.
    pub isa: Isa,
    /// The persistent workers.
    pub threads: Threads,
}

impl Cpu {
    /// The best instruction set of this machine and `threads` threads, the calling one included.
    pub fn new(threads: usize) -> Self {
        Self { isa: Isa::detect(), threads: Threads::new(threads) }
    }
}
