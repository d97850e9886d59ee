//! Launches compiled for a device, to be replayed.

use super::{cpu, gpu};
use crate::error::Result;
use kernels::{Access, Binding, Clock, Cost};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Launches compiled for a device, to be replayed.
#[derive(Clone, Debug)]
pub enum Program {
    /// On the CPU.
    Cpu(Arc<cpu::CpuProgram>),
    /// On a GPU.
    Gpu(Arc<gpu::GpuProgram>),
}

/// What a program does, launch by launch.
#[derive(Clone, Debug)]
pub struct LaunchReport {
    /// The launch's label.
    pub label: String,
    /// The kernel's name.
    pub kernel: &'static str,
    /// The kernel's shape.
    pub shape: String,
    /// Arithmetic and traffic.
    pub cost: Cost,
    /// GPU: shader label and grid of every dispatch; empty on the CPU.
    pub dispatches: Vec<(String, [u32; 3])>,
}

impl Program {
    /// Runs all launches once. A GPU may run them later: before the next read, or with the next few steps.
    ///
    /// # Errors
    /// Device loss.
    pub fn run(&self, clock: &Clock) -> Result<()> {
        match self {
            Program::Cpu(program) => program.run(clock),
            Program::Gpu(program) => return program.run(clock),
        }
        Ok(())
    }

    /// Runs all launches one at a time and looks at every float that each writes: the first launch that writes a NaN
    /// or an infinity, with the name of the buffer.
    ///
    /// # Errors
    /// Device loss.
    pub fn run_checked(&self, clock: &Clock) -> Result<Option<NonFinite>> {
        match self {
            Program::Cpu(program) => Ok(program.run_checked(clock)),
            Program::Gpu(program) => program.run_checked(clock),
        }
    }

    /// Median time of each launch over `repeats` runs, with the same clock.
    ///
    /// # Errors
    /// Device loss.
    pub fn profile(&self, clock: &Clock, repeats: usize) -> Result<Vec<Duration>> {
        match self {
            Program::Cpu(program) => Ok(program.profile(clock, repeats)),
            Program::Gpu(program) => program.profile(clock, repeats),
        }
    }

    /// Every launch with its shapes and costs.
    pub fn report(&self) -> Vec<LaunchReport> {
        match self {
            Program::Cpu(program) => program.report(),
            Program::Gpu(program) => program.report(),
        }
    }

    /// Bytes of scratch memory that the kernels of this program share.
    pub fn scratch_bytes(&self) -> u64 {
        match self {
            Program::Cpu(program) => program.scratch_bytes(),
            Program::Gpu(program) => program.scratch_bytes(),
        }
    }
}

/// The first value that was not finite in a checked run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// The launch.
    pub launch: String,
    /// The kernel's buffer.
    pub buffer: &'static str,
    /// Index of the value in the buffer.
    pub index: usize,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' of '{}' at index {}", self.buffer, self.launch, self.index)
    }
}

/// The index of the first float that is not finite, where `binding` is written and holds floats.
pub(super) fn first_non_finite(binding: &Binding, words: &[u32]) -> Option<usize> {
    let floats = binding.access != Access::Read && !binding.integers;
    floats.then(|| words.iter().position(|&word| !f32::from_bits(word).is_finite()))?
}
