//! Launches compiled for a device, to be replayed.

use super::report::{LaunchReport, NonFinite};
use super::{cpu, gpu};
use crate::error::Result;
use kernels::Clock;
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
