//! The system's allocator with counts: how often the process allocated, and how many bytes each thread holds. Tests of
//! memory include this file, and with it the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of all threads, ever.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Bytes that this thread allocated and did not free. Negative where it freed another's.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    /// The most that there have been.
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn allocated(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    let live = LIVE.get() + bytes as isize;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

fn freed(bytes: usize) {
    LIVE.set(LIVE.get() - bytes as isize);
}

// SAFETY: everything is passed on to the system's allocator; the counts are plain cells, which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        freed(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While the system copies, there are both.
        allocated(size);
        freed(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How often the process has allocated.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// What `run` gives, and the most bytes that this thread held in it at once beside those that it held before.
pub fn peak_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = run();
    (result, (PEAK.get() - before) as usize)
}

/// What a reader may hold at once: `per_byte` bytes for each byte that it is given, and `fixed` bytes beside.
pub struct Bound {
    reader: &'static str,
    per_byte: usize,
    fixed: usize,
    inputs: u64,
    /// The highest peak so far, and the length of its input.
    highest: (usize, usize),
}

impl Bound {
    pub fn new(reader: &'static str, per_byte: usize, fixed: usize) -> Self {
        Self { reader, per_byte, fixed, inputs: 0, highest: (0, 0) }
    }

    /// Runs `read` on an input of `length` bytes.
    pub fn hold<T>(&mut self, length: usize, read: impl FnOnce() -> T) -> T {
        let (result, peak) = peak_of(read);
        let most = self.per_byte * length + self.fixed;
        assert!(
            peak <= most,
            "{}: input {} of {length} bytes took {peak} bytes of memory, at most {most} are allowed",
            self.reader,
            self.inputs
        );
        self.inputs += 1;
        self.highest = self.highest.max((peak, length));
        result
    }
}

/// For the log of a long run.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reader, inputs, highest: (peak, length), .. } = self;
        write!(f, "{reader}: {inputs} inputs, at most {peak} bytes of memory, for one of {length} bytes")
    }
}
