//! Memory of a device, and the ranges of it that launches bind.

mod cpu;
mod gpu;
mod host;

pub(super) use cpu::CpuMemory;
pub(super) use gpu::GpuMemory;
pub use host::HostWords;

use super::account::Account;
use crate::error::{Error, Result};
use kernels::kernel::ALIGNMENT;
use std::sync::Arc;

/// `words` rounded up to [`ALIGNMENT`]; `usize::MAX`, which no device can allocate, where that is more.
pub fn padded(words: usize) -> usize {
    words.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX)
}

/// Memory of a device, zero at first. Cheap to clone: clones share the memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(super) memory: Memory,
    pub(super) words: usize,
    /// Whether nothing may write it: see [`Device::constant`](super::Device::constant).
    pub(super) constant: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Memory {
    Cpu(Arc<CpuMemory>),
    Gpu(Arc<GpuMemory>),
}

impl Memory {
    /// The account of the device that made it.
    fn account(&self) -> &Arc<Account> {
        match self {
            Memory::Cpu(memory) => &memory.account,
            Memory::Gpu(memory) => &memory.account,
        }
    }
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

    /// That this is memory of the device with this account, and that `words` words from `offset` on lie inside it; `action`
    /// is for the error.
    pub(super) fn check(
        &self,
        device: &Arc<Account>,
        action: &str,
        offset: usize,
        words: usize,
    ) -> Result<()> {
        if !Arc::ptr_eq(self.memory.account(), device) {
            return Err(Error::OtherDevice { what: action.to_string(), device: device.name().to_string() });
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
