//! A device as its memory knows it: the name, and an account of what it holds and has done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// The account of one device. Every piece of its memory holds it too, and is known by it as this device's own.
#[derive(Debug)]
pub(super) struct Account {
    name: String,
    allocated: AtomicU64,
    objects: AtomicU64,
    uploads: AtomicU64,
    reads: AtomicU64,
}

impl Account {
    /// The empty account of a device of this name.
    pub(super) fn open(name: String) -> Arc<Self> {
        let zero = || AtomicU64::new(0);
        Arc::new(Self { name, allocated: zero(), objects: zero(), uploads: zero(), reads: zero() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes allocated and not yet freed.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }

    pub(super) fn counters(&self) -> Counters {
        Counters {
            objects: self.objects.load(Ordering::Relaxed),
            uploads: self.uploads.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
        }
    }

    pub(super) fn allocated(&self, bytes: u64) {
        self.allocated.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn freed(&self, bytes: u64) {
        self.allocated.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn created(&self) {
        self.objects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn uploaded(&self) {
        self.uploads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read_back(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }
}
