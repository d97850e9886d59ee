//! Memory of a GPU device.

use crate::device::account::Account;
use std::sync::Arc;

/// Memory of a GPU device. Whoever makes one has asked the device for the buffer, and knows that it got it.
#[derive(Debug)]
pub(in crate::device) struct GpuMemory {
    pub(in crate::device) buffer: wgpu::Buffer,
    pub(in crate::device) account: Arc<Account>,
}

impl GpuMemory {
    /// Enters a new buffer into the device's account.
    pub(in crate::device) fn new(account: &Arc<Account>, buffer: wgpu::Buffer) -> Self {
        account.created();
        account.allocated(buffer.size());
        Self { buffer, account: Arc::clone(account) }
    }
}

impl Drop for GpuMemory {
    fn drop(&mut self) {
        self.account.freed(self.buffer.size());
    }
}
