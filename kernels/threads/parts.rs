//! One slice, many writers: parts that do not overlap.

use std::marker::PhantomData;
use std::ops::Range;

/// A slice that tasks write in disjoint parts.
#[derive(Debug)]
pub struct Parts<'a, T> {
    start: *mut T,
    len: usize,
    _borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: parts hand out disjoint ranges only (the promise of `part`), so threads share no element.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    /// Takes the whole slice for the time of a job.
    pub fn new(data: &'a mut [T]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len(), _borrow: PhantomData }
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// No two live parts may overlap.
    ///
    /// # Panics
    /// If the range does not lie inside the slice.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        // SAFETY: inside the slice by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// The start of a region whose elements are written through pointers, because it interleaves with those of other tasks.
    ///
    /// # Safety
    /// No two tasks may touch the same element while the pointer is used, which is at most `len` elements long.
    ///
    /// # Panics
    /// If the region does not lie inside the slice.
    #[inline]
    pub unsafe fn pointer(&self, start: usize, len: usize) -> *mut T {
        assert!(start <= self.len && len <= self.len - start, "{len} from {start} on of {}", self.len);
        // SAFETY: inside the slice by the assertion.
        unsafe { self.start.add(start) }
    }
}
