//! Memory of a CPU device: its own, in cache lines, or the host's.

use super::HostWords;
use crate::device::account::Account;
use std::cell::UnsafeCell;
use std::collections::TryReserveError;
use std::sync::Arc;

/// A cache line: the unit of allocation, so that every buffer is aligned for any vector.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [u32; WORDS_PER_LINE]);

const WORDS_PER_LINE: usize = 16;

/// Memory of a CPU device. It only tells where it lies: all access goes through the device, which holds its lock meanwhile.
pub(in crate::device) struct CpuMemory {
    words: Words,
    pub(in crate::device) account: Arc<Account>,
}

enum Words {
    /// The device's own.
    Owned(Box<[UnsafeCell<Line>]>),
    /// The host's, only read: no launch and no copy may write a constant.
    Shared(HostWords),
}

// SAFETY: the contents are only touched by the CPU device and its programs under the device's lock; what the host shares is
// never written.
unsafe impl Sync for CpuMemory {}

impl std::fmt::Debug for CpuMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.words {
            Words::Owned(_) => write!(f, "{} bytes", self.bytes()),
            Words::Shared(words) => words.fmt(f),
        }
    }
}

impl CpuMemory {
    /// Zeroed memory of at least `words` words.
    ///
    /// # Errors
    /// Out of memory.
    pub(in crate::device) fn allocate(account: &Arc<Account>, words: usize) -> Result<Self, TryReserveError> {
        let (count, mut lines) = (words.div_ceil(WORDS_PER_LINE), Vec::new());
        lines.try_reserve_exact(count)?;
        lines.extend((0..count).map(|_| UnsafeCell::new(Line([0; WORDS_PER_LINE]))));
        let memory = Self { words: Words::Owned(lines.into_boxed_slice()), account: Arc::clone(account) };
        account.created();
        account.allocated(memory.bytes());
        Ok(memory)
    }

    /// The host's memory as memory of a device.
    pub(in crate::device) fn share(account: &Arc<Account>, words: HostWords) -> Self {
        account.created();
        Self { words: Words::Shared(words), account: Arc::clone(account) }
    }

    /// Bytes that the device allocated for it.
    pub(in crate::device) fn bytes(&self) -> u64 {
        match &self.words {
            Words::Owned(lines) => size_of_val::<[_]>(lines) as u64,
            Words::Shared(_) => 0,
        }
    }

    /// Its first word; of shared memory, one that is not written through this pointer.
    pub(in crate::device) fn start(&self) -> *mut u32 {
        match &self.words {
            Words::Owned(lines) => lines.as_ptr().cast_mut().cast(),
            Words::Shared(words) => words.as_slice().as_ptr().cast_mut(),
        }
    }
}

impl Drop for CpuMemory {
    fn drop(&mut self) {
        self.account.freed(self.bytes());
    }
}
