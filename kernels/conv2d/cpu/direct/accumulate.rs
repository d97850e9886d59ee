//! The micro-kernel of the backward pass of weights: some floats of every window of a band, times a panel of dy, summed
//! over the band.
//!
//! At every output it loads VECTORS vectors of dy and multiplies them by ROWS floats of the window. These floats are
//! adjacent in memory, so one pointer and small constants reach them all.

use crate::simd::{Isa, LANES, Simd, Vectorised};

/// Everything that the micro-kernel needs to know. Distances are in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    /// Floats of every window, 1 to the most that the registers hold.
    pub(super) rows: usize,
    /// Vectors of dy: 1 or 2.
    pub(super) vectors: usize,
    /// The first of these floats in the first window.
    pub(super) windows: *const f32,
    /// Images, rows of outputs and outputs per row of the band, and the distances of their windows.
    pub(super) counts: [usize; 3],
    pub(super) steps: [usize; 3],
    /// The panel of dy, `dy_step` from output to output, whole vectors of which are readable.
    pub(super) dy: *const f32,
    pub(super) dy_step: usize,
    /// `[rows][vectors]`: overwritten by the first band, added to by others.
    pub(super) to: *mut f32,
    pub(super) first: bool,
}

impl Sums {
    /// Sums up with a micro-kernel of exactly this size.
    ///
    /// # Safety
    /// All pointers and distances must be valid for the given sizes, and nobody else may touch the sums.
    #[inline]
    pub(super) unsafe fn run(&self, isa: Isa) {
        macro_rules! exact {
            ($vectors:literal: $($rows:literal)*) => {
                match self.rows {
                    // A function of its own for each size: inlined together they would spill accumulators.
                    $($rows => isa.run(Exact::<$rows, $vectors>(self)),)*
                    _ => unreachable!("no micro-kernel has so many rows"),
                }
            };
        }
        match self.vectors {
            1 => exact!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24),
            _ => exact!(2: 1 2 3 4 5 6 7 8 9 10 11 12),
        }
    }
}

struct Exact<'a, const ROWS: usize, const VECTORS: usize>(&'a Sums);

impl<const ROWS: usize, const VECTORS: usize> Vectorised for Exact<'_, ROWS, VECTORS> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Sizes beyond the registers of this instruction set are never asked for; do not compile them.
        if ROWS * VECTORS <= S::TILE_ROWS * S::TILE_VECTORS {
            // SAFETY: the promise of `Sums::run`.
            unsafe { accumulate::<S, ROWS, VECTORS>(s, self.0) }
        } else {
            unreachable!("{ROWS} rows and {VECTORS} vectors do not fit the registers");
        }
    }
}

#[inline(always)]
unsafe fn accumulate<S: Simd, const ROWS: usize, const VECTORS: usize>(s: S, task: &Sums) {
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    let mut dy = task.dy;
    for image in 0..task.counts[0] {
        for row in 0..task.counts[1] {
            let mut window = task.windows.wrapping_add(image * task.steps[0] + row * task.steps[1]);
            for _ in 0..task.counts[2] {
                // SAFETY: all windows of the band and whole vectors of the panel are readable (promise of the caller).
                unsafe {
                    let panel: [S::V; VECTORS] = std::array::from_fn(|v| s.load(&*dy.add(v * LANES).cast()));
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let element = s.splat(*window.add(r));
                        for (sum, dy) in sums.iter_mut().zip(panel) {
                            *sum = s.fma(element, dy, *sum);
                        }
                    }
                }
                window = window.wrapping_add(task.steps[2]);
                dy = dy.wrapping_add(task.dy_step);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: these sums are ours alone.
            let to = unsafe { &mut *task.to.add((r * VECTORS + v) * LANES).cast::<[f32; LANES]>() };
            let total = if task.first { sum } else { s.add(sum, s.load(to)) };
            s.store(to, total);
        }
    }
}
