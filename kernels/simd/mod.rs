//! Vectors of 16 floats on every instruction set: AVX-512 (one register), AVX2 (two), or portable arrays.
//!
//! The lane count is the same everywhere, so a kernel is written once and sums in the same order on every machine.
//! A kernel implements [`Vectorised`]; [`Isa::run`] compiles it once per instruction set and picks one at run time.
//! Every function that touches vectors must be `#[inline(always)]` down to [`Vectorised::run`], or it is compiled
//! without the instruction set and becomes slow.

mod isa;

pub use isa::Isa;

use crate::random::pcg4d;

/// Floats in a vector.
pub const LANES: usize = 16;
/// Random numbers that [`Simd::random`] draws at a time.
pub const DRAWN: usize = 8 * LANES;

/// Work written once for every instruction set.
pub trait Vectorised {
    /// What the work returns.
    type Output;
    /// The work. Must be `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Operations on vectors of [`LANES`] floats. A value of an implementing type is the proof that the processor has the
/// instructions.
pub trait Simd: Copy + Send + Sync + 'static {
    /// The vector.
    type V: Copy;
    /// Rows of the matrix-multiplication micro-kernel.
    const TILE_ROWS: usize;
    /// Vectors per row of the micro-kernel.
    const TILE_VECTORS: usize;

    /// All lanes equal.
    fn splat(self, value: f32) -> Self::V;
    /// Sixteen floats from memory.
    fn load(self, from: &[f32; LANES]) -> Self::V;
    /// Sixteen bytes from memory, as floats.
    fn widen(self, from: &[u8; LANES]) -> Self::V;
    /// The even lanes are the first float, the odd lanes the second.
    #[inline(always)]
    fn splat_pair(self, pair: [f32; 2]) -> Self::V {
        self.load(&std::array::from_fn(|i| pair[i % 2]))
    }
    /// Sixteen floats to memory.
    fn store(self, to: &mut [f32; LANES], v: Self::V);
    /// Sum.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// Difference.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// Product.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// Quotient.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, in one rounding where the processor has it.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Larger of both, lane by lane.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// Square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// `v` where `gate > 0`, else 0: the gradient of ReLU.
    fn keep_positive(self, v: Self::V, gate: Self::V) -> Self::V;

    /// Up to sixteen floats from memory, zeros behind them.
    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> Self::V {
        let mut lanes = [0.0; LANES];
        lanes[..from.len()].copy_from_slice(from);
        self.load(&lanes)
    }
    /// The first `to.len()` floats, at most sixteen, to memory.
    #[inline(always)]
    fn store_partial(self, to: &mut [f32], v: Self::V) {
        let lanes = self.lanes(v);
        to.copy_from_slice(&lanes[..to.len()]);
    }
    /// The lanes as an array.
    #[inline(always)]
    fn lanes(self, v: Self::V) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes, v);
        lanes
    }
    /// [`DRAWN`] random integers below 2^24: number i is `2^24 unit(pcg4d([counter + i / 4, key...])[i % 4])` of
    /// [`crate::random`]. To scale them is left to what the caller multiplies with anyway.
    #[inline(always)]
    fn random(self, counter: u32, key: [u32; 3]) -> [Self::V; DRAWN / LANES] {
        let mut numbers = [self.splat(0.0); DRAWN / LANES];
        let mut counter = counter;
        for numbers in &mut numbers {
            let mut lanes = [0.0; LANES];
            for four in lanes.as_chunks_mut::<4>().0 {
                *four = pcg4d([counter, key[0], key[1], key[2]]).map(|word| (word >> 8) as f32);
                counter = counter.wrapping_add(1);
            }
            *numbers = self.load(&lanes);
        }
        numbers
    }
    /// Sum of the lanes, pairwise in a fixed order.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        fold(self.lanes(v), |a, b| a + b)
    }
    /// The largest lane.
    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        fold(self.lanes(v), larger)
    }
}

/// The larger of two floats; the second if one is NaN.
#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Joins the lanes pairwise in a fixed order. Each width is a type of its own: as a loop over widths this stays a loop.
#[inline(always)]
pub fn fold(lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| join(lanes[i], lanes[i + 8]));
    let four: [f32; 4] = std::array::from_fn(|i| join(eight[i], eight[i + 4]));
    let two: [f32; 2] = std::array::from_fn(|i| join(four[i], four[i + 2]));
    join(two[0], two[1])
}

/// Plain arrays.
#[derive(Clone, Copy, Debug)]
pub struct Portable(());

impl Simd for Portable {
    type V = [f32; LANES];
    const TILE_ROWS: usize = 4;
    const TILE_VECTORS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; LANES]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::V {
        *from
    }
    #[inline(always)]
    fn widen(self, from: &[u8; LANES]) -> Self::V {
        from.map(f32::from)
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], v: Self::V) {
        *to = v;
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i].sqrt())
    }
    #[inline(always)]
    fn keep_positive(self, v: Self::V, gate: Self::V) -> Self::V {
        std::array::from_fn(|i| if gate[i] > 0.0 { v[i] } else { 0.0 })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::unit;

    struct Check;
    impl Vectorised for Check {
        type Output = Vec<[f32; LANES]>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let a: [f32; LANES] = std::array::from_fn(|i| i as f32 - 7.5);
            let b: [f32; LANES] = std::array::from_fn(|i| 0.5 + i as f32 * 0.25);
            let (x, y) = (s.load(&a), s.load(&b));
            let mut partial = [9.0; LANES];
            s.store_partial(&mut partial[..5], s.load_partial(&a[..3]));
            let results = [
                s.add(x, y),
                s.sub(x, y),
                s.mul(x, y),
                s.div(x, y),
                s.fma(x, y, s.splat(1.0)),
                s.max(x, y),
                s.sqrt(y),
                s.keep_positive(y, x),
                s.widen(&std::array::from_fn(|i| 17 * i as u8)),
                s.splat(s.sum(y)),
                s.splat_pair([a[3], b[4]]),
            ];
            results.iter().map(|&v| s.lanes(v)).chain([partial]).collect()
        }
    }

    #[test]
    fn every_instruction_set_computes_the_same() {
        let portable = Isa::named("portable").expect("every processor has it");
        let expected = portable.run(Check);
        assert_eq!(expected[11][..6], [-7.5, -6.5, -5.5, 0.0, 0.0, 9.0]);
        for isa in Isa::supported() {
            assert_eq!(isa.run(Check), expected, "{isa:?}");
        }
    }

    struct Random(u32, [u32; 3]);

    impl Vectorised for Random {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<f32> {
            s.random(self.0, self.1).into_iter().flat_map(|v| s.lanes(v)).collect()
        }
    }

    #[test]
    fn every_instruction_set_draws_the_same_numbers() {
        for (counter, key) in [(0, [0; 3]), (12_345, [77, 0x1_0003, 5]), (u32::MAX - 7, [u32::MAX; 3])] {
            let expected: Vec<f32> = (0..DRAWN as u32)
                .map(|i| pcg4d([counter.wrapping_add(i / 4), key[0], key[1], key[2]])[i as usize % 4])
                .map(|word| unit(word) * 16_777_216.0)
                .collect();
            for isa in Isa::supported() {
                assert_eq!(isa.run(Random(counter, key)), expected, "{isa:?}");
            }
        }
    }
}
