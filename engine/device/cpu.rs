//! The CPU device: the kernels in Rust over pooled, aligned memory.

use super::launch::CheckedLaunch;
use super::memory::{HostWords, Memory};
use super::program::first_non_finite;
use super::{Counters, LaunchReport, NonFinite};
use crate::error::{Error, Result};
use kernels::kernel::MAX_BINDINGS;
use kernels::{Access, Arg, Args, Clock, Cpu};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A cache line: the unit of allocation, so that every buffer is aligned for any vector.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [u32; 16]);

/// Memory of the CPU device. All access goes through [`CpuDevice`], which holds its lock meanwhile.
pub(super) struct CpuMemory {
    words: Words,
    /// The counter of the device that it belongs to.
    allocated: Arc<AtomicU64>,
}

enum Words {
    /// The device's own.
    Owned(Box<[UnsafeCell<Line>]>),
    /// The host's, only read: no launch and no copy may write a constant.
    Shared(HostWords),
}

// SAFETY: the contents are only touched by `CpuDevice` and `CpuProgram` under the device's lock; what the host shares is
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
    /// Bytes that the device allocated for it.
    fn bytes(&self) -> u64 {
        match &self.words {
            Words::Owned(lines) => lines.len() as u64 * 64,
            Words::Shared(_) => 0,
        }
    }

    /// Its first word; of shared memory, one that is not written through this pointer.
    fn start(&self) -> *mut u32 {
        match &self.words {
            Words::Owned(lines) => lines.as_ptr().cast_mut().cast(),
            Words::Shared(words) => words.as_slice().as_ptr().cast_mut(),
        }
    }
}

impl Drop for CpuMemory {
    fn drop(&mut self) {
        self.allocated.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// The processor, its worker threads, and the lock under which memory is touched.
#[derive(Debug)]
pub struct CpuDevice {
    cpu: Cpu,
    lock: Mutex<()>,
    allocated: Arc<AtomicU64>,
    objects: AtomicU64,
    uploads: AtomicU64,
    reads: AtomicU64,
}

impl CpuDevice {
    pub(super) fn new(threads: usize) -> Result<Self> {
        Ok(Self {
            cpu: Cpu::new(threads)?,
            lock: Mutex::new(()),
            allocated: Arc::default(),
            objects: AtomicU64::new(0),
            uploads: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        })
    }

    pub(super) fn name(&self) -> String {
        format!("cpu ({:?}, {} threads)", self.cpu.isa, self.cpu.threads.count())
    }

    pub(super) fn instruction_set(&self) -> String {
        self.cpu.isa.name()
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // A panic in a kernel leaves numbers unfinished, not memory unsafe: go on.
        self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn allocate(&self, what: &str, words: usize) -> Result<Arc<CpuMemory>> {
        let (count, mut lines) = (words.div_ceil(16), Vec::new());
        lines.try_reserve_exact(count).map_err(|_| Error::OutOfMemory {
            device: self.name(),
            what: format!("{} bytes asked for '{what}'", words as u64 * 4),
            in_use: self.allocated_bytes(),
        })?;
        lines.extend((0..count).map(|_| UnsafeCell::new(Line([0; 16]))));
        let lines = lines.into_boxed_slice();
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.allocated.fetch_add(lines.len() as u64 * 64, Ordering::Relaxed);
        Ok(Arc::new(CpuMemory { words: Words::Owned(lines), allocated: Arc::clone(&self.allocated) }))
    }

    /// The host's memory as memory of this device.
    pub(super) fn share(&self, words: HostWords) -> Arc<CpuMemory> {
        self.objects.fetch_add(1, Ordering::Relaxed);
        Arc::new(CpuMemory { words: Words::Shared(words), allocated: Arc::clone(&self.allocated) })
    }

    /// Whether this device made the memory.
    pub(super) fn owns(&self, memory: &CpuMemory) -> bool {
        Arc::ptr_eq(&self.allocated, &memory.allocated)
    }

    pub(super) fn write(&self, memory: &CpuMemory, offset: usize, data: &[u32]) {
        let _guard = self.lock();
        self.uploads.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `Device::write` checked the range and that it is no constant, and the lock makes the access exclusive.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), memory.start().add(offset), data.len()) };
    }

    pub(super) fn read(&self, memory: &CpuMemory, offset: usize, into: &mut [u32]) {
        let _guard = self.lock();
        self.reads.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `Device::read_into` checked the range, and the lock makes the access exclusive.
        unsafe { std::ptr::copy_nonoverlapping(memory.start().add(offset), into.as_mut_ptr(), into.len()) };
    }

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
}

/// Where one argument of a launch lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: *mut u32,
    words: usize,
    access: Access,
}

#[derive(Debug)]
struct Step {
    launch: CheckedLaunch,
    places: [Option<Place>; MAX_BINDINGS],
    scratch: usize,
}

/// Launches with their addresses resolved.
#[derive(Debug)]
pub struct CpuProgram {
    device: Arc<CpuDevice>,
    steps: Vec<Step>,
    scratch: Arc<CpuMemory>,
}

// SAFETY: the addresses point into memory that the slices of `launch` and `scratch` keep alive, and are only followed under
// the device's lock.
unsafe impl Send for CpuProgram {}
// SAFETY: as above.
unsafe impl Sync for CpuProgram {}

impl CpuProgram {
    pub(super) fn new(device: Arc<CpuDevice>, launches: Vec<CheckedLaunch>) -> Result<Self> {
        let mut most = 0;
        let steps = launches
            .into_iter()
            .map(|launch| {
                let mut places = [None; MAX_BINDINGS];
                for (place, (binding, slice)) in
                    places.iter_mut().zip(launch.bindings().iter().zip(launch.slices()))
                {
                    let Memory::Cpu(memory) = &slice.buffer.memory else {
                        unreachable!("a checked launch has memory of its device")
                    };
                    *place = Some(Place {
                        // SAFETY: a checked launch's slice lies inside its buffer.
                        start: unsafe { memory.start().add(slice.offset) },
                        words: binding.words,
                        access: binding.access,
                    });
                }
                let scratch = launch.kernel().cpu_scratch(&device.cpu);
                most = most.max(scratch);
                Step { launch, places, scratch }
            })
            .collect();
        let scratch = device.allocate("scratch", most)?;
        Ok(Self { device, steps, scratch })
    }

    fn step(&self, step: &Step, clock: &Clock) {
        let arguments = step.places.iter().flatten().map(|place| match place.access {
            // SAFETY: inside a live buffer; no written slice of a checked launch overlaps another of its slices or
            // is a constant, and the caller holds the device's lock.
            Access::Read => Arg::Read(unsafe { std::slice::from_raw_parts(place.start, place.words) }),
            // SAFETY: as above.
            _ => Arg::Write(unsafe { std::slice::from_raw_parts_mut(place.start, place.words) }),
        });
        // SAFETY: the scratch buffer has room for the largest kernel and belongs to this program alone.
        let scratch = unsafe { std::slice::from_raw_parts_mut(self.scratch.start(), step.scratch) };
        let mut args = Args::new(arguments, scratch);
        // SAFETY: one argument per binding, of its length and access, by `places`; the scratch memory that it asked for.
        unsafe { step.launch.kernel().run(&self.device.cpu, clock, &mut args) };
    }

    pub(super) fn run(&self, clock: &Clock) {
        let _guard = self.device.lock();
        for step in &self.steps {
            self.step(step, clock);
        }
    }

    pub(super) fn run_checked(&self, clock: &Clock) -> Option<NonFinite> {
        let _guard = self.device.lock();
        for step in &self.steps {
            self.step(step, clock);
            for (binding, place) in step.launch.bindings().iter().zip(step.places.iter().flatten()) {
                // SAFETY: as in `step`; nothing writes now.
                let words = unsafe { std::slice::from_raw_parts(place.start, place.words) };
                if let Some(index) = first_non_finite(binding, words) {
                    return Some(NonFinite {
                        launch: step.launch.label().to_string(),
                        buffer: binding.name,
                        index,
                    });
                }
            }
        }
        None
    }

    pub(super) fn profile(&self, clock: &Clock, repeats: usize) -> Vec<Duration> {
        let _guard = self.device.lock();
        let mut times = vec![Vec::with_capacity(repeats); self.steps.len()];
        for _ in 0..repeats.max(1) {
            for (step, times) in self.steps.iter().zip(&mut times) {
                let start = Instant::now();
                self.step(step, clock);
                times.push(start.elapsed());
            }
        }
        times
            .into_iter()
            .map(|mut times| {
                times.sort_unstable();
                times[times.len() / 2]
            })
            .collect()
    }

    pub(super) fn report(&self) -> Vec<LaunchReport> {
        self.steps
            .iter()
            .map(|step| LaunchReport {
                label: step.launch.label().to_string(),
                kernel: step.launch.kernel().name(),
                shape: step.launch.kernel().shape(),
                cost: step.launch.kernel().cost(),
                dispatches: Vec::new(),
            })
            .collect()
    }

    pub(super) fn scratch_bytes(&self) -> u64 {
        self.scratch.bytes()
    }
}
