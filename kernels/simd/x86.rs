//! The two instruction sets of x86-64: AVX-512 and AVX2.

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
        let low = (_mm256_permute2f128_ps::<0x20>(even, odd), _mm256_permute2f128_ps::<0x20>(third, fourth));
        let high = (_mm256_permute2f128_ps::<0x31>(even, odd), _mm256_permute2f128_ps::<0x31>(third, fourth));
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
