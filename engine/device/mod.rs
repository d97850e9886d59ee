//! The two devices behind one front: memory, launches, read-back.
//!
//! A [`Program`] is a list of launches whose buffers are fixed. It is compiled once and replayed with a new
//! [`Clock`](kernels::Clock) every step.

mod account;
mod adapter;
mod cpu;
mod gpu;
mod launch;
mod memory;
mod program;
mod report;

pub use account::Counters;
pub use adapter::{AdapterReport, DeviceReport, list_devices};
pub use launch::Launch;
pub use memory::{Buffer, HostWords, Slice, padded};
pub use program::Program;
pub use report::{LaunchReport, NonFinite};

pub use kernels::kernel::ALIGNMENT;

use crate::error::{Error, Result};
use account::Account;
use launch::CheckedLaunch;
use memory::Memory;
use std::ops::Range;
use std::sync::Arc;

/// A device: the CPU, or a GPU through wgpu. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Device {
    /// The kernels in Rust.
    Cpu(Arc<cpu::CpuDevice>),
    /// The kernels in WGSL.
    Gpu(Arc<gpu::GpuDevice>),
}

impl Device {
    /// The CPU with this many threads; 0 takes one per processor, or as many as the system allows.
    ///
    /// # Errors
    /// An instruction set (`HT_ISA`) or a number of threads that cannot be had.
    pub fn cpu(threads: usize) -> Result<Self> {
        Ok(Device::Cpu(Arc::new(cpu::CpuDevice::new(threads)?)))
    }

    /// Devices that can work beside each other, as threads of the caller's: of a CPU one per thread of it, each with one
    /// thread; a GPU itself.
    ///
    /// # Errors
    /// As [`Device::cpu`].
    pub fn split(&self) -> Result<Vec<Self>> {
        match self {
            Device::Cpu(device) => (0..device.threads()).map(|_| Self::cpu(1)).collect(),
            Device::Gpu(_) => Ok(vec![self.clone()]),
        }
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

    fn account(&self) -> &Arc<Account> {
        match self {
            Device::Cpu(device) => device.account(),
            Device::Gpu(device) => device.account(),
        }
    }

    /// A short name for tables and result files.
    pub fn name(&self) -> String {
        self.account().name().to_string()
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
        Ok(Buffer { memory, words, constant: false })
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

    /// A buffer with these words that nothing writes again; `what` names it in errors.
    ///
    /// On the CPU it is the host's own memory, without a copy and without padding, and [`Device::allocated_bytes`] does not
    /// count it. On a GPU it is uploaded. A launch that binds it to be written is refused, as is [`Device::write`].
    ///
    /// # Errors
    /// As [`Device::buffer`].
    pub fn constant(&self, what: &str, words: impl Into<HostWords>) -> Result<Buffer> {
        let words = words.into();
        match self {
            Device::Cpu(device) => {
                let length = words.as_slice().len();
                Ok(Buffer { memory: Memory::Cpu(device.share(words)), words: length, constant: true })
            }
            Device::Gpu(_) => Ok(Buffer { constant: true, ..self.buffer_with(what, words.as_slice())? }),
        }
    }

    /// Copies words from the host into a buffer.
    ///
    /// # Errors
    /// Words that do not fit, a constant or another device's buffer; device loss.
    pub fn write(&self, buffer: &Buffer, offset: usize, data: &[u32]) -> Result<()> {
        buffer.check(self.account(), "a write", offset, data.len())?;
        if buffer.constant {
            return Err(Error::Constant { what: "the target of a write".into() });
        }
        match (self, &buffer.memory) {
            (Device::Cpu(device), Memory::Cpu(memory)) => device.write(memory, offset, data),
            (Device::Gpu(device), Memory::Gpu(memory)) => device.write(memory, offset, data)?,
            _ => unreachable!("checked above"),
        }
        Ok(())
    }

    /// Copies words from a buffer to the host, after all launches before.
    ///
    /// # Errors
    /// A range outside the buffer, or another device's buffer; device loss.
    pub fn read(&self, buffer: &Buffer, range: Range<usize>) -> Result<Vec<u32>> {
        // Before memory is taken for words that are not there.
        buffer.check(self.account(), "a read", range.start, range.len())?;
        let mut words = vec![0; range.len()];
        self.read_into(buffer, range.start, &mut words)?;
        Ok(words)
    }

    /// As [`Device::read`], into existing memory.
    ///
    /// # Errors
    /// As [`Device::read`].
    pub fn read_into(&self, buffer: &Buffer, offset: usize, into: &mut [u32]) -> Result<()> {
        buffer.check(self.account(), "a read", offset, into.len())?;
        match (self, &buffer.memory) {
            (Device::Cpu(device), Memory::Cpu(memory)) => device.read(memory, offset, into),
            (Device::Gpu(device), Memory::Gpu(memory)) => device.read(memory, offset, into)?,
            _ => unreachable!("checked above"),
        }
        Ok(())
    }

    /// Floats of a slice.
    ///
    /// # Errors
    /// As [`Device::read`].
    pub fn read_f32(&self, slice: &Slice) -> Result<Vec<f32>> {
        let end = slice.offset.saturating_add(slice.words);
        Ok(bytemuck::cast_vec(self.read(&slice.buffer, slice.offset..end)?))
    }

    /// Prepares launches for replay: checks them, compiles their shaders, makes their bind groups.
    ///
    /// # Errors
    /// A slice of another device or outside its buffer, overlapping buffers in one launch, a written constant, a limit of
    /// the device, a shader that does not compile.
    pub fn compile(&self, launches: Vec<Launch>) -> Result<Program> {
        let checked = |launch| CheckedLaunch::new(self.account(), launch);
        let launches = launches.into_iter().map(checked).collect::<Result<Vec<_>>>()?;
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

    /// Bytes of memory allocated on this device through this object; what it shares with the host is not counted.
    pub fn allocated_bytes(&self) -> u64 {
        self.account().allocated_bytes()
    }

    /// What was created, uploaded and read back so far.
    pub fn counters(&self) -> Counters {
        self.account().counters()
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
