//! Memory of a device, and the ranges of it that launches bind.

use super::{ALIGNMENT, Device, cpu, gpu};
use crate::error::{Error, Result};
use std::sync::Arc;

/// Memory of a device, zero at first. Cheap to clone: clones share the memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(super) memory: Memory,
    pub(super) words: usize,
    /// Whether nothing may write it: see [`Device::constant`].
    pub(super) constant: bool,
}

/// Memory of the host that a constant shares, as words.
#[derive(Clone)]
pub struct HostWords(Host);

#[derive(Clone)]
enum Host {
    Words(Arc<Vec<u32>>),
    /// As many as whole words, and aligned as words.
    Bytes(Arc<Vec<u8>>),
}

impl HostWords {
    /// Bytes as words, in the processor's order; `None` if they do not make whole words or do not lie where a word may.
    pub fn of_bytes(bytes: Arc<Vec<u8>>) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, u32>(&bytes).ok()?;
        Some(Self(Host::Bytes(bytes)))
    }

    /// The words.
    pub fn as_slice(&self) -> &[u32] {
        match &self.0 {
            Host::Words(words) => words,
            // Nobody else can change or move them meanwhile.
            Host::Bytes(bytes) => bytemuck::cast_slice(bytes),
        }
    }
}

impl std::fmt::Debug for HostWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} words of the host", self.as_slice().len())
    }
}

impl From<Arc<Vec<u32>>> for HostWords {
    fn from(words: Arc<Vec<u32>>) -> Self {
        Self(Host::Words(words))
    }
}

#[derive(Clone, Debug)]
pub(super) enum Memory {
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

impl Buffer {
    /// Number of 32-bit words, padding included.
    pub fn words(&self) -> usize {
        self.words
    }

    /// The whole buffer.
    pub fn all(&self) -> Slice {
        self.slice(0, self.words)
    }

    /// `words` words from `offset` on. Whether they lie inside the buffer is checked where the slice is used.
    pub fn slice(&self, offset: usize, words: usize) -> Slice {
        Slice { buffer: self.clone(), offset, words }
    }

    pub(super) fn same(&self, other: &Buffer) -> bool {
        match (&self.memory, &other.memory) {
            (Memory::Cpu(a), Memory::Cpu(b)) => Arc::ptr_eq(a, b),
            (Memory::Gpu(a), Memory::Gpu(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// That this is memory of `device`, and that `words` words from `offset` on lie inside it; `action` is for the error.
    pub(super) fn check(&self, device: &Device, action: &str, offset: usize, words: usize) -> Result<()> {
        let owned = match (&self.memory, device) {
            (Memory::Cpu(memory), Device::Cpu(device)) => device.owns(memory),
            (Memory::Gpu(memory), Device::Gpu(device)) => device.owns(memory),
            _ => false,
        };
        if !owned {
            return Err(Error::OtherDevice { what: action.to_string(), device: device.name() });
        }
        match offset.checked_add(words) {
            Some(end) if end <= self.words => Ok(()),
            _ => Err(Error::OutOfRange { what: action.to_string(), offset, words, available: self.words }),
        }
    }
}

impl Slice {
    /// Whether both name some word in common. Both lie inside their buffers.
    pub(super) fn overlaps(&self, other: &Slice) -> bool {
        self.buffer.same(&other.buffer)
            && self.offset < other.offset + other.words
            && other.offset < self.offset + self.words
    }

    pub(super) fn is_aligned(&self) -> bool {
        self.offset.is_multiple_of(ALIGNMENT)
    }
}
