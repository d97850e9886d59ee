//! Vectors of 16 floats on every instruction set: AVX-512 (one register), AVX2 (two), or portable arrays.
//!
//! The lane count is the same everywhere, so a kernel is written once and sums in the same order on every machine.
//! A kernel implements [`Vectorised`]; [`Isa::run`] compiles it once per instruction set and picks one at run time.
//! Every function that touches vectors must be `#[inline(always)]` down to [`Vectorised::run`], or it is compiled
//! without the instruction set and becomes slow.

use crate::random::{pcg4d, unit};

/// Floats in a vector.
pub const LANES: usize = 16;
/// Random numbers that [`Simd::units`] makes at a time.
pub const UNITS: usize = 4 * LANES;

/// An instruction set, chosen once at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 512-bit vectors with fused multiply-add.
    Avx512,
    /// Two 256-bit vectors with fused multiply-add.
    Avx2,
    /// Plain Rust that the compiler vectorises as it can.
    Portable,
}

impl Isa {
    /// The best set that this processor has; `HT_ISA=portable|avx2` asks for a lesser one.
    pub fn detect() -> Self {
        let wanted = std::env::var("HT_ISA").unwrap_or_default();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") && wanted.is_empty() {
                return Isa::Avx512;
            }
            if avx2 && wanted != "portable" {
                return Isa::Avx2;
            }
        }
        let _ = wanted;
        Isa::Portable
    }

    /// All sets that this processor can run, best first.
    pub fn available() -> Vec<Self> {
        let best = Self::detect();
        let all = [Isa::Avx512, Isa::Avx2, Isa::Portable];
        all.into_iter().skip_while(|&isa| isa != best).collect()
    }

    /// Runs the work with this instruction set.
    #[inline]
    pub fn run<W: Vectorised>(self, work: W) -> W::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` is the only source of these variants and checked the processor.
            Isa::Avx512 => unsafe { x86::run_avx512(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx2 => unsafe { x86::run_avx2(work) },
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx512 | Isa::Avx2 => work.run(Portable(())),
            Isa::Portable => work.run(Portable(())),
        }
    }
}

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
    /// 64 random numbers in [0, 1): number i is `unit(pcg4d([counter + i / 4, key...])[i % 4])` of [`crate::random`].
    #[inline(always)]
    fn units(self, counter: u32, key: [u32; 3]) -> [Self::V; 4] {
        let mut units = [[0.0; LANES]; 4];
        for (i, four) in units.as_flattened_mut().as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let words = pcg4d([counter.wrapping_add(i as u32), key[0], key[1], key[2]]);
            *four = [unit(words[0]), unit(words[1]), unit(words[2]), unit(words[3])];
        }
        [self.load(&units[0]), self.load(&units[1]), self.load(&units[2]), self.load(&units[3])]
    }
    /// Sum of the lanes, pairwise in a fixed order.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let mut lanes = self.lanes(v);
        for width in [8, 4, 2, 1] {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        lanes[0]
    }
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
mod x86 {
    use super::{LANES, Simd, Vectorised};
    use std::arch::x86_64::*;

    /// Proof that the processor has AVX-512F, AVX2 and FMA.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Avx512(());

    /// Proof that the processor has AVX2 and FMA.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Avx2(());

    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) fn run_avx512<W: Vectorised>(work: W) -> W::Output {
        work.run(Avx512(()))
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn run_avx2<W: Vectorised>(work: W) -> W::Output {
        work.run(Avx2(()))
    }

    /// One safe method per intrinsic: the token proves that the instruction exists.
    macro_rules! methods {
        ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)? { $body:expr })*) => {$(
            #[inline(always)]
            fn $name(self, $($arg: $type),*) $(-> $result)? {
                // SAFETY: a value of this type exists only where the processor has the instructions; loads and
                // stores go through references to whole arrays.
                unsafe { $body }
            }
        )*};
    }

    /// The factor that makes the upper 24 bits of a word a number in [0, 1).
    const UNIT: f32 = 1.0 / 16_777_216.0;

    /// `crate::random::pcg4d` on vectors; the first words of the counters are given, the others are equal. A macro and not
    /// a function of closures, because a closure does not have the instructions of the function around it.
    macro_rules! pcg4d {
        ($splat:ident, $add:ident, $mul:ident, $xor:ident, $shift:ident, $first:expr, $key:expr) => {{
            let (factor, addend) = ($splat(1_664_525), $splat(1_013_904_223));
            let mut x = $add($mul($first, factor), addend);
            let mut y = $add($mul($splat($key[0] as i32), factor), addend);
            let mut z = $add($mul($splat($key[1] as i32), factor), addend);
            let mut w = $add($mul($splat($key[2] as i32), factor), addend);
            x = $add(x, $mul(y, w));
            y = $add(y, $mul(z, x));
            z = $add(z, $mul(x, y));
            w = $add(w, $mul(y, z));
            x = $xor(x, $shift::<16>(x));
            y = $xor(y, $shift::<16>(y));
            z = $xor(z, $shift::<16>(z));
            w = $xor(w, $shift::<16>(w));
            x = $add(x, $mul(y, w));
            y = $add(y, $mul(z, x));
            z = $add(z, $mul(x, y));
            w = $add(w, $mul(y, z));
            [x, y, z, w]
        }};
    }

    /// [`Simd::units`] for 8 counters.
    ///
    /// # Safety
    /// The processor must have AVX2.
    #[inline(always)]
    unsafe fn units_of_8(counter: u32, key: [u32; 3]) -> [Pair; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let [x, y, z, w] = pcg4d!(
                _mm256_set1_epi32,
                _mm256_add_epi32,
                _mm256_mullo_epi32,
                _mm256_xor_si256,
                _mm256_srli_epi32,
                _mm256_add_epi32(_mm256_set1_epi32(counter as i32), lanes),
                key
            );
            let scale = _mm256_set1_ps(UNIT);
            let a = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(x)), scale);
            let b = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(y)), scale);
            let c = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(z)), scale);
            let d = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(w)), scale);
            // Pairs of counters 0, 1, 4, 5 and 2, 3, 6, 7; then quadruples, of which each half holds some.
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let even = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
            let odd = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
            let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            let third = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
            let fourth = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
            let low =
                (_mm256_permute2f128_ps::<0x20>(even, odd), _mm256_permute2f128_ps::<0x20>(third, fourth));
            let high =
                (_mm256_permute2f128_ps::<0x31>(even, odd), _mm256_permute2f128_ps::<0x31>(third, fourth));
            [low, high]
        }
    }

    impl Simd for Avx512 {
        type V = __m512;
        const TILE_ROWS: usize = 12;
        const TILE_VECTORS: usize = 2;

        methods! {
            splat(value: f32) -> __m512 { _mm512_set1_ps(value) }
            splat_pair(pair: [f32; 2]) -> __m512 {
                _mm512_castsi512_ps(_mm512_set1_epi64(std::mem::transmute::<[f32; 2], i64>(pair)))
            }
            load(from: &[f32; LANES]) -> __m512 { _mm512_loadu_ps(from.as_ptr()) }
            widen(from: &[u8; LANES]) -> __m512 {
                _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().cast())))
            }
            store(to: &mut [f32; LANES], v: __m512) { _mm512_storeu_ps(to.as_mut_ptr(), v) }
            add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
            sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
            mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
            div(a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
            fma(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
            max(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
            sqrt(a: __m512) -> __m512 { _mm512_sqrt_ps(a) }
            keep_positive(v: __m512, gate: __m512) -> __m512 {
                _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps()), v)
            }
            load_partial(from: &[f32]) -> __m512 {
                _mm512_maskz_loadu_ps(mask(from.len()), from.as_ptr())
            }
            store_partial(to: &mut [f32], v: __m512) {
                _mm512_mask_storeu_ps(to.as_mut_ptr(), mask(to.len()), v)
            }
            units(counter: u32, key: [u32; 3]) -> [__m512; 4] {{
                let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
                let [x, y, z, w] = pcg4d!(
                    _mm512_set1_epi32, _mm512_add_epi32, _mm512_mullo_epi32, _mm512_xor_si512,
                    _mm512_srli_epi32, _mm512_add_epi32(_mm512_set1_epi32(counter as i32), lanes), key
                );
                let scale = _mm512_set1_ps(UNIT);
                let a = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(x)), scale);
                let b = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(y)), scale);
                let c = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(z)), scale);
                let d = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(w)), scale);
                // To pairs of lanes, then to quadruples. From 16, or 8, on: those of the second vector.
                let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
                let first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
                let second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
                let (ab, cd) = (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(c, low, d));
                let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
                let (one, two) = (_mm512_permutex2var_pd(ab, first, cd), _mm512_permutex2var_pd(ab, second, cd));
                let (ab, cd) = (_mm512_permutex2var_ps(a, high, b), _mm512_permutex2var_ps(c, high, d));
                let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
                let (three, four) = (_mm512_permutex2var_pd(ab, first, cd), _mm512_permutex2var_pd(ab, second, cd));
                [_mm512_castpd_ps(one), _mm512_castpd_ps(two), _mm512_castpd_ps(three), _mm512_castpd_ps(four)]
            }}
        }
    }

    #[inline(always)]
    fn mask(len: usize) -> __mmask16 {
        debug_assert!(len <= LANES);
        ((1u32 << len.min(LANES)) - 1) as __mmask16
    }

    type Pair = (__m256, __m256);

    impl Simd for Avx2 {
        type V = Pair;
        const TILE_ROWS: usize = 6;
        const TILE_VECTORS: usize = 1;

        methods! {
            splat(value: f32) -> Pair { (_mm256_set1_ps(value), _mm256_set1_ps(value)) }
            splat_pair(pair: [f32; 2]) -> Pair {{
                let half = _mm256_castsi256_ps(_mm256_set1_epi64x(std::mem::transmute::<[f32; 2], i64>(pair)));
                (half, half)
            }}
            load(from: &[f32; LANES]) -> Pair {
                (_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8)))
            }
            widen(from: &[u8; LANES]) -> Pair {{
                let bytes = _mm_loadu_si128(from.as_ptr().cast());
                (
                    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
                    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes))),
                )
            }}
            store(to: &mut [f32; LANES], v: Pair) {{
                _mm256_storeu_ps(to.as_mut_ptr(), v.0);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), v.1)
            }}
            add(a: Pair, b: Pair) -> Pair { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
            sub(a: Pair, b: Pair) -> Pair { (_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
            mul(a: Pair, b: Pair) -> Pair { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
            div(a: Pair, b: Pair) -> Pair { (_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)) }
            fma(a: Pair, b: Pair, c: Pair) -> Pair {
                (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1))
            }
            max(a: Pair, b: Pair) -> Pair { (_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)) }
            sqrt(a: Pair) -> Pair { (_mm256_sqrt_ps(a.0), _mm256_sqrt_ps(a.1)) }
            units(counter: u32, key: [u32; 3]) -> [Pair; 4] {{
                let (one, two) = (units_of_8(counter, key), units_of_8(counter.wrapping_add(8), key));
                [one[0], one[1], two[0], two[1]]
            }}
            keep_positive(v: Pair, gate: Pair) -> Pair {{
                let zero = _mm256_setzero_ps();
                (
                    _mm256_and_ps(v.0, _mm256_cmp_ps::<_CMP_GT_OQ>(gate.0, zero)),
                    _mm256_and_ps(v.1, _mm256_cmp_ps::<_CMP_GT_OQ>(gate.1, zero)),
                )
            }}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let expected = Isa::Portable.run(Check);
        assert_eq!(expected[11][..6], [-7.5, -6.5, -5.5, 0.0, 0.0, 9.0]);
        for isa in Isa::available() {
            assert_eq!(isa.run(Check), expected, "{isa:?}");
        }
    }

    struct Units(u32, [u32; 3]);

    impl Vectorised for Units {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<f32> {
            s.units(self.0, self.1).into_iter().flat_map(|v| s.lanes(v)).collect()
        }
    }

    #[test]
    fn every_instruction_set_draws_the_same_numbers() {
        for (counter, key) in [(0, [0; 3]), (12_345, [77, 0x1_0003, 5]), (u32::MAX - 7, [u32::MAX; 3])] {
            let expected: Vec<f32> = (0..UNITS as u32)
                .map(|i| unit(pcg4d([counter.wrapping_add(i / 4), key[0], key[1], key[2]])[i as usize % 4]))
                .collect();
            for isa in Isa::available() {
                assert_eq!(isa.run(Units(counter, key)), expected, "{isa:?}");
            }
        }
    }
}
