//! The CPU device: the kernels in Rust over pooled, aligned memory.

use super::account::Account;
use super::launch::CheckedLaunch;
use super::memory::{CpuMemory, HostWords, Memory};
use super::report::{LaunchReport, NonFinite, first_non_finite};
use crate::error::{Error, Result};
use kernels::kernel::MAX_BINDINGS;
use kernels::{Access, Arg, Args, Clock, Cpu};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The processor, its worker threads, and the lock under which memory is touched.
#[derive(Debug)]
pub struct CpuDevice {
    cpu: Cpu,
    lock: Mutex<()>,
    account: Arc<Account>,
}

impl CpuDevice {
    pub(super) fn new(threads: usize) -> Result<Self> {
        let cpu = Cpu::new(threads)?;
        let name = format!("cpu ({:?}, {} threads)", cpu.isa, cpu.threads.count());
        Ok(Self { cpu, lock: Mutex::new(()), account: Account::open(name) })
    }

    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    pub(super) fn instruction_set(&self) -> String {
        self.cpu.isa.name()
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // A panic in a kernel leaves numbers unfinished, not memory unsafe: go on.
        self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn allocate(&self, what: &str, words: usize) -> Result<Arc<CpuMemory>> {
        let memory = CpuMemory::allocate(&self.account, words).map_err(|_| Error::OutOfMemory {
            device: self.account.name().to_string(),
            what: format!("{} bytes asked for '{what}'", (words as u64).saturating_mul(4)),
            in_use: self.account.allocated_bytes(),
        })?;
        Ok(Arc::new(memory))
    }

    /// The host's memory as memory of this device.
    pub(super) fn share(&self, words: HostWords) -> Arc<CpuMemory> {
        Arc::new(CpuMemory::share(&self.account, words))
    }

    pub(super) fn write(&self, memory: &CpuMemory, offset: usize, data: &[u32]) {
        let _guard = self.lock();
        self.account.uploaded();
        // SAFETY: `Device::write` checked the range and that it is no constant, and the lock makes the access exclusive.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), memory.start().add(offset), data.len()) };
    }

    /// Threads that work.
    pub(super) fn threads(&self) -> usize {
        self.cpu.threads.count()
    }

    pub(super) fn read(&self, memory: &CpuMemory, offset: usize, into: &mut [u32]) {
        let _guard = self.lock();
        self.account.read_back();
        // SAFETY: `Device::read_into` checked the range, and the lock makes the access exclusive.
        unsafe { std::ptr::copy_nonoverlapping(memory.start().add(offset), into.as_mut_ptr(), into.len()) };
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
