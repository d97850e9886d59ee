//! The two devices behind one front: memory, launches, read-back.
//!
//! A [`Program`] is a list of launches whose buffers are fixed. It is compiled once and replayed with a new
//! [`Clock`] every step.

mod adapter;
mod cpu;
mod gpu;

pub use adapter::{AdapterReport, DeviceReport, list_devices};

pub use kernels::kernel::ALIGNMENT;

use crate::error::{Error, Result};
use kernels::{Access, Clock, Cost, Kernel};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// `words` rounded up to [`ALIGNMENT`].
pub fn padded(words: usize) -> usize {
    words.next_multiple_of(ALIGNMENT)
}

/// A device: the CPU, or a GPU through wgpu. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Device {
    /// The kernels in Rust.
    Cpu(Arc<cpu::CpuDevice>),
    /// The kernels in WGSL.
    Gpu(Arc<gpu::GpuDevice>),
}

/// Memory of a device, zero at first. Cheap to clone: clones share the memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    memory: Memory,
    words: usize,
}

#[derive(Clone, Debug)]
enum Memory {
    Cpu(Arc<cpu::CpuMemory>),
    Gpu(Arc<gpu::GpuMemory>),
}

/// A range of a buffer, as a launch binds it. It starts at a multiple of [`ALIGNMENT`].
#[derive(Clone, Debug)]
pub struct Slice {
    /// The buffer.
    pub buffer: Buffer,
    /// First word.
    pub offset: usize,
    /// Number of words.
    pub words: usize,
}

/// One kernel with the memory it works on.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What it does in the model's terms, such as `linear backbone.fc1`.
    pub label: String,
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
    /// One slice per binding of the kernel, in its order.
    pub slices: Vec<Slice>,
}

/// Launches compiled for a device, to be replayed.
#[derive(Clone, Debug)]
pub enum Program {
    /// On the CPU.
    Cpu(Arc<cpu::CpuProgram>),
    /// On a GPU.
    Gpu(Arc<gpu::GpuProgram>),
}

/// What a program does, launch by launch: the rows of `ht inspect`.
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

/// Work a device has done outside of launches since it was opened: constant in the steady state of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Buffers, shaders, pipelines, bind groups and query sets created.
    pub objects: u64,
    /// Host-to-device copies.
    pub uploads: u64,
    /// Device-to-host copies.
    pub reads: u64,
}

impl Buffer {
    /// Number of 32-bit words, padding included.
    pub fn words(&self) -> usize {
        self.words
    }
    /// The whole buffer.
    pub fn all(&self) -> Slice {
        self.slice(0, self.words)
    }
    /// `words` words from `offset` on.
    pub fn slice(&self, offset: usize, words: usize) -> Slice {
        Slice { buffer: self.clone(), offset, words }
    }
    fn same(&self, other: &Buffer) -> bool {
        match (&self.memory, &other.memory) {
            (Memory::Cpu(a), Memory::Cpu(b)) => Arc::ptr_eq(a, b),
            (Memory::Gpu(a), Memory::Gpu(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Device {
    /// The CPU with this many threads; 0 takes one per processor, or as many as the system allows.
    ///
    /// # Errors
    /// An instruction set (`HT_ISA`) or a number of threads that cannot be had.
    pub fn cpu(threads: usize) -> Result<Self> {
        Ok(Device::Cpu(Arc::new(cpu::CpuDevice::new(threads)?)))
    }

    /// Opens a device by name: `auto` takes the best real GPU, else the CPU; `cpu`; `gpu` takes the best real GPU or
    /// fails; anything else is part of an adapter's name, which may also be a software adapter.
    ///
    /// # Errors
    /// No such adapter (with a diagnosis), or one that lacks what the kernels need; on the CPU as [`Device::cpu`].
    pub fn open(name: &str, threads: usize) -> Result<Self> {
        if name == "cpu" {
            return Self::cpu(threads);
        }
        match adapter::choose(name)? {
            Some(adapter) => Ok(Device::Gpu(Arc::new(gpu::GpuDevice::open(adapter)?))),
            None => Self::cpu(threads),
        }
    }

    /// A short name for tables and result files.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu(device) => device.name(),
            Device::Gpu(device) => device.name().to_string(),
        }
    }

    /// The instruction set of a CPU device, on which the last bits of its results depend: `avx512`, `avx2`, `portable`.
    pub fn instruction_set(&self) -> Option<String> {
        match self {
            Device::Cpu(device) => Some(device.instruction_set()),
            Device::Gpu(_) => None,
        }
    }

    /// Whether this is a GPU adapter (real or software).
    pub fn is_gpu(&self) -> bool {
        matches!(self, Device::Gpu(_))
    }

    /// Zeroed memory of at least `words` words; `what` names it in errors.
    ///
    /// # Errors
    /// Out of memory, or more than the device can bind at once.
    pub fn buffer(&self, what: &str, words: usize) -> Result<Buffer> {
        let words = padded(words.max(1));
        let memory = match self {
            Device::Cpu(device) => Memory::Cpu(device.allocate(what, words)?),
            Device::Gpu(device) => Memory::Gpu(device.allocate(what, words)?),
        };
        Ok(Buffer { memory, words })
    }

    /// A buffer with these words.
    ///
    /// # Errors
    /// As [`Device::buffer`].
    pub fn buffer_with(&self, what: &str, data: &[u32]) -> Result<Buffer> {
        let buffer = self.buffer(what, data.len())?;
        self.write(&buffer, 0, data)?;
        Ok(buffer)
    }

    /// Copies words from the host into a buffer.
    ///
    /// # Errors
    /// Device loss.
    ///
    /// # Panics
    /// If they do not fit, or if the buffer belongs to a device of the other kind: a bug in the caller.
    pub fn write(&self, buffer: &Buffer, offset: usize, data: &[u32]) -> Result<()> {
        assert!(offset + data.len() <= buffer.words, "write past the end of a buffer");
        match (self, &buffer.memory) {
            (Device::Cpu(device), Memory::Cpu(memory)) => device.write(memory, offset, data),
            (Device::Gpu(device), Memory::Gpu(memory)) => device.write(memory, offset, data)?,
            _ => panic!("a buffer of another device"),
        }
        Ok(())
    }

    /// Copies words from a buffer to the host, after all launches before.
    ///
    /// # Errors
    /// Device loss.
    ///
    /// # Panics
    /// If the range is outside the buffer, or the buffer belongs to a device of the other kind: a bug in the caller.
    pub fn read(&self, buffer: &Buffer, range: Range<usize>) -> Result<Vec<u32>> {
        let mut words = vec![0; range.len()];
        self.read_into(buffer, range.start, &mut words)?;
        Ok(words)
    }

    /// As [`Device::read`], into existing memory.
    ///
    /// # Errors
    /// Device loss.
    ///
    /// # Panics
    /// As [`Device::read`].
    pub fn read_into(&self, buffer: &Buffer, offset: usize, into: &mut [u32]) -> Result<()> {
        assert!(offset + into.len() <= buffer.words, "read past the end of a buffer");
        match (self, &buffer.memory) {
            (Device::Cpu(device), Memory::Cpu(memory)) => device.read(memory, offset, into),
            (Device::Gpu(device), Memory::Gpu(memory)) => device.read(memory, offset, into)?,
            _ => panic!("a buffer of another device"),
        }
        Ok(())
    }

    /// Floats of a slice.
    ///
    /// # Errors
    /// Device loss.
    pub fn read_f32(&self, slice: &Slice) -> Result<Vec<f32>> {
        Ok(bytemuck::cast_vec(self.read(&slice.buffer, slice.offset..slice.offset + slice.words)?))
    }

    /// Prepares launches for replay: checks them, compiles their shaders, makes their bind groups.
    ///
    /// # Errors
    /// Overlapping buffers in one launch, a limit of the device, a shader that does not compile.
    pub fn compile(&self, launches: Vec<Launch>) -> Result<Program> {
        for launch in &launches {
            check(launch)?;
        }
        Ok(match self {
            Device::Cpu(device) => Program::Cpu(Arc::new(cpu::CpuProgram::new(device.clone(), launches)?)),
            Device::Gpu(device) => Program::Gpu(Arc::new(gpu::GpuProgram::new(device.clone(), launches)?)),
        })
    }

    /// Waits until all launches are done.
    ///
    /// # Errors
    /// Device loss, or an error that the runtime reported meanwhile.
    pub fn finish(&self) -> Result<()> {
        match self {
            Device::Cpu(_) => Ok(()),
            Device::Gpu(device) => device.finish(),
        }
    }

    /// Bytes of memory allocated on this device through this object.
    pub fn allocated_bytes(&self) -> u64 {
        match self {
            Device::Cpu(device) => device.allocated_bytes(),
            Device::Gpu(device) => device.allocated_bytes(),
        }
    }

    /// What was created, uploaded and read back so far.
    pub fn counters(&self) -> Counters {
        match self {
            Device::Cpu(device) => device.counters(),
            Device::Gpu(device) => device.counters(),
        }
    }

    /// The properties by which kernels choose their tiles; `None` for the CPU.
    pub fn gpu_traits(&self) -> Option<kernels::GpuTraits> {
        match self {
            Device::Cpu(_) => None,
            Device::Gpu(device) => Some(device.traits()),
        }
    }

    /// The same device, but kernels choose their tiles as for a GPU with these traits: for tests, which so reach on any
    /// adapter the shaders meant for another, and for tuning. The CPU stays as it is.
    ///
    /// Memory, pipelines and the order of launches are shared with the original. A `workgroup_memory` beyond the
    /// adapter's own makes [`Device::compile`] fail.
    #[must_use]
    pub fn with_gpu_traits(self, traits: kernels::GpuTraits) -> Self {
        match self {
            Device::Cpu(_) => self,
            Device::Gpu(device) => Device::Gpu(Arc::new(device.with_traits(traits))),
        }
    }
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

fn first_non_finite(words: &[u32]) -> Option<usize> {
    words.iter().position(|&word| !f32::from_bits(word).is_finite())
}

/// What every launch must satisfy on every device.
fn check(launch: &Launch) -> Result<()> {
    let bindings = launch.kernel.bindings();
    let malformed = |message: String| Err(Error::shape(launch.label.clone(), message));
    if bindings.len() != launch.slices.len() || bindings.len() > kernels::kernel::MAX_BINDINGS {
        return malformed(format!(
            "{} has {} buffers, {} were given",
            launch.kernel.name(),
            bindings.len(),
            launch.slices.len()
        ));
    }
    for (binding, slice) in bindings.iter().zip(&launch.slices) {
        if slice.words < binding.words || slice.offset + slice.words > slice.buffer.words {
            return malformed(format!(
                "buffer '{}' has {} words, {} needed",
                binding.name, slice.words, binding.words
            ));
        }
        if !slice.offset.is_multiple_of(ALIGNMENT) {
            return malformed(format!(
                "buffer '{}' starts at word {}, not aligned",
                binding.name, slice.offset
            ));
        }
    }
    for (i, (binding, slice)) in bindings.iter().zip(&launch.slices).enumerate() {
        if binding.access == Access::Read {
            continue;
        }
        for (j, other) in launch.slices.iter().enumerate() {
            let overlaps = i != j
                && slice.buffer.same(&other.buffer)
                && slice.offset < other.offset + other.words
                && other.offset < slice.offset + slice.words;
            if overlaps {
                return Err(Error::Aliasing {
                    launch: launch.label.clone(),
                    buffer: binding.name.to_string(),
                });
            }
        }
    }
    Ok(())
}
