//! A persistent thread pool for kernels: spins shortly between launches, sleeps when training pauses, allocates
//! nothing per launch. Tasks own disjoint outputs, so results never depend on who ran them.
//!
//! Every thread begins with its own contiguous share of the tasks and then helps the others. Kernels number their tasks
//! along the columns first, so a thread finds in its cache what it wrote in the launch before.

mod parts;

pub use parts::Parts;

use crate::error::CpuError;
use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// Turns of the waiting loop before a worker sleeps: some hundred microseconds, longer than the gap between two
/// launches of a step.
const SPINS: usize = 20_000;
/// Turns before a thread that waits gives its processor away: the one it waits for may be queued behind it.
const POLITE_SPINS: usize = 1_000;

/// Bits of [`Shared::state`]: workers inside the job, then whether it is closed, then its number.
const INSIDE: u64 = 0xffff;
const CLOSED: u64 = 1 << 16;
const NUMBER: u64 = 1 << 17;

/// The most threads of a pool: more than any machine has processors, and few enough for any system to count.
pub const MOST_THREADS: usize = 1024;

/// A pool of worker threads; the caller of [`Threads::run`] works too.
#[derive(Debug)]
pub struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job runs: a nested or concurrent `run` does its tasks alone.
    running: Mutex<()>,
}

/// A counter on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Claimed(AtomicUsize);

type Job = *const (dyn Fn(usize) + Sync);

struct Shared {
    job: UnsafeCell<Option<Job>>,
    tasks: AtomicUsize,
    /// Per thread, how many tasks of its share were claimed.
    claimed: Box<[Claimed]>,
    /// Number of the job, whether workers may still join it, and how many are inside. A worker that comes too late
    /// stays out, so that nobody waits for a thread that the system has not scheduled.
    state: AtomicU64,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    /// What the first task that panicked said.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
}

// SAFETY: `job` is written only by the holder of `Threads::running` while no worker is inside, and published by the
// new number in `state`.
unsafe impl Sync for Shared {}
// SAFETY: the job pointer is only used while the caller of `run` keeps the closure alive.
unsafe impl Send for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// How a worker is started.
type Spawn = dyn Fn(Arc<Shared>, usize) -> std::io::Result<JoinHandle<()>>;

fn spawn(shared: Arc<Shared>, index: usize) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("kernel-{index}")).spawn(move || shared.work(index))
}

impl Threads {
    /// A pool of `count` threads, at least 1, the calling thread included.
    ///
    /// # Errors
    /// More than [`MOST_THREADS`], or more than the system allows.
    pub fn new(count: usize) -> Result<Self, CpuError> {
        if count > MOST_THREADS {
            return Err(CpuError::TooManyThreads { wanted: count, most: MOST_THREADS });
        }
        match Self::start(count, &spawn) {
            (threads, None) => Ok(threads),
            (threads, Some(source)) => {
                Err(CpuError::ThreadsRefused { wanted: count, had: threads.count(), source })
            }
        }
    }

    /// A pool of `count` threads, or of as many as the system allows.
    pub fn at_most(count: usize) -> Self {
        Self::start(count.min(MOST_THREADS), &spawn).0
    }

    /// As many of `count` threads as there can be, and why there are no more.
    fn start(count: usize, spawn: &Spawn) -> (Self, Option<std::io::Error>) {
        let shared = Arc::new(Shared {
            job: UnsafeCell::new(None),
            tasks: AtomicUsize::new(0),
            claimed: (0..count.max(1)).map(|_| Claimed::default()).collect(),
            state: AtomicU64::new(CLOSED),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let (mut workers, mut refusal) = (Vec::new(), None);
        for index in 1..count {
            match spawn(Arc::clone(&shared), index) {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    refusal = Some(error);
                    break;
                }
            }
        }
        (Self { shared, workers, running: Mutex::new(()) }, refusal)
    }

    /// Number of threads that work on a job.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(0)` to `task(tasks - 1)`, each once, on any thread, and returns when all are done.
    ///
    /// # Panics
    /// If a task panics: with the same payload, when all tasks that had begun are done.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let alone = tasks <= 1 || self.workers.is_empty();
        let Some(running) = (if alone { None } else { self.running.try_lock().ok() }) else {
            (0..tasks).for_each(task);
            return;
        };
        let shared = &*self.shared;
        // SAFETY: the lifetime is erased, but this function returns only when no worker uses the pointer any more.
        let job = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Job>(task) };
        // SAFETY: `running` is held and no worker is inside: nobody else touches the cell.
        unsafe { *shared.job.get() = Some(job) };
        shared.tasks.store(tasks, Ordering::Relaxed);
        for claimed in &shared.claimed {
            claimed.0.store(0, Ordering::Relaxed);
        }
        shared.open();
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            drop(shared.sleep.lock());
            shared.wake.notify_all();
        }
        shared.claim(0, task);
        let mut spins = 0;
        shared.state.fetch_or(CLOSED, Ordering::AcqRel);
        while shared.state.load(Ordering::Acquire) & INSIDE > 0 {
            spins += 1;
            if spins < POLITE_SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        let panic = shared.panic.lock().expect("no task runs under this lock").take();
        // Before the panic goes on: it would poison the lock, and the pool would never work in parallel again.
        drop(running);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Cuts `data` into parts of `length` (the last may be shorter) and runs `task(index, part)` for each.
    pub fn chunks_mut<T: Send>(
        &self,
        data: &mut [T],
        length: usize,
        task: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        let total = data.len();
        let parts = Parts::new(data);
        self.run(total.div_ceil(length), &|index| {
            let start = index * length;
            // SAFETY: every index is run once and the ranges of different indices do not overlap.
            task(index, unsafe { parts.part(start..(start + length).min(total)) });
        });
    }

    /// Runs `task(index, part of memory)` for every task on up to `slots` threads, each with an equal part of `memory`
    /// that no other running task uses. What a task computes must not depend on what it finds there.
    pub(crate) fn with_memory<T: Send>(
        &self,
        slots: usize,
        tasks: usize,
        memory: &mut [T],
        task: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        let length = memory.len() / slots;
        let (memory, next) = (Parts::new(memory), AtomicUsize::new(0));
        self.run(slots, &|slot| {
            // SAFETY: every slot runs once.
            let memory = unsafe { memory.part(slot * length..(slot + 1) * length) };
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= tasks {
                    break;
                }
                task(index, memory);
            }
        });
    }
}

/// Part `index` of `total` things cut into `parts` ranges whose lengths differ by at most one.
pub(crate) fn part(total: usize, parts: usize, index: usize) -> Range<usize> {
    index * total / parts..(index + 1) * total / parts
}

impl Shared {
    /// Runs tasks until none is left: those of the thread's own share, then those of the next threads.
    fn claim(&self, thread: usize, task: &(dyn Fn(usize) + Sync)) {
        let (tasks, threads) = (self.tasks.load(Ordering::Relaxed), self.claimed.len());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for share in (thread..threads).chain(0..thread) {
                let Range { start, end } = part(tasks, threads, share);
                loop {
                    let index = start + self.claimed[share].0.fetch_add(1, Ordering::Relaxed);
                    if index >= end {
                        break;
                    }
                    task(index);
                }
            }
        }));
        if let Err(panic) = outcome {
            self.panic.lock().expect("no task runs under this lock").get_or_insert(panic);
        }
    }

    /// Gives the job a new number and lets workers in.
    fn open(&self) {
        let number = self.state.load(Ordering::Relaxed) / NUMBER;
        self.state.store((number + 1) * NUMBER, Ordering::SeqCst);
    }

    fn work(&self, thread: usize) {
        let mut done = 0;
        loop {
            let mut spins = 0;
            let mut state = self.state.load(Ordering::Acquire);
            while state / NUMBER == done || state & CLOSED > 0 {
                spins += 1;
                if spins < SPINS {
                    if spins % POLITE_SPINS == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
                } else {
                    let mut guard = self.sleep.lock().expect("no task runs under this lock");
                    self.sleepers.fetch_add(1, Ordering::SeqCst);
                    while self.state.load(Ordering::SeqCst) & CLOSED > 0 {
                        guard = self.wake.wait(guard).expect("no task runs under this lock");
                    }
                    self.sleepers.fetch_sub(1, Ordering::SeqCst);
                    spins = 0;
                }
                state = self.state.load(Ordering::Acquire);
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            // SAFETY: `run` wrote the job before it opened `state`, and waits until nobody is inside.
            let job = unsafe { (*self.job.get()).expect("a job was published") };
            // SAFETY: as above, the closure outlives the job.
            self.claim(thread, unsafe { &*job });
            done = state / NUMBER;
            self.state.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.open();
        drop(self.shared.sleep.lock());
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests;
