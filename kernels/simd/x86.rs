//! The two instruction sets of x86-64: AVX-512 and AVX2.

use super::{DRAWN, LANES, Simd, Vectorised};
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

/// What `crate::random::pcg4d` does to each word first: a product and a sum.
const FACTOR: u32 = 1_664_525;
const ADDEND: u32 = 1_013_904_223;

/// Vectors of counters whose numbers are computed side by side: each word of one waits ten cycles for the one before it.
const CHAINS: usize = 2;

/// `crate::random::pcg4d` on [`CHAINS`] vectors: counters from `first` on, one per lane, whose numbers are given; the
/// other words are equal. A macro and not a function of closures, because a closure does not have the instructions of the
/// function around it.
macro_rules! pcg4d {
    ($splat:ident, $add:ident, $mul:ident, $xor:ident, $shift:ident, $lanes:expr, $first:expr, $key:expr) => {{
        let (factor, addend) = ($splat(FACTOR as i32), $splat(ADDEND as i32));
        // The product is linear: one vector of lanes for all counters.
        let (lanes, width) = ($mul($lanes, factor), (size_of_val(&$lanes) / 4) as u32);
        let mut x = [lanes; CHAINS];
        for (i, x) in x.iter_mut().enumerate() {
            let first: u32 = $first.wrapping_add(width * i as u32).wrapping_mul(FACTOR).wrapping_add(ADDEND);
            *x = $add(*x, $splat(first as i32));
        }
        let mut y = [$add($mul($splat($key[0] as i32), factor), addend); CHAINS];
        let mut z = [$add($mul($splat($key[1] as i32), factor), addend); CHAINS];
        let mut w = [$add($mul($splat($key[2] as i32), factor), addend); CHAINS];
        for round in 0..2 {
            for i in 0..CHAINS {
                x[i] = $add(x[i], $mul(y[i], w[i]));
            }
            for i in 0..CHAINS {
                y[i] = $add(y[i], $mul(z[i], x[i]));
            }
            for i in 0..CHAINS {
                z[i] = $add(z[i], $mul(x[i], y[i]));
            }
            for i in 0..CHAINS {
                w[i] = $add(w[i], $mul(y[i], z[i]));
            }
            if round == 0 {
                for i in 0..CHAINS {
                    x[i] = $xor(x[i], $shift::<16>(x[i]));
                    y[i] = $xor(y[i], $shift::<16>(y[i]));
                    z[i] = $xor(z[i], $shift::<16>(z[i]));
                    w[i] = $xor(w[i], $shift::<16>(w[i]));
                }
            }
        }
        [x, y, z, w]
    }};
}

/// [`Simd::random`] for 16 counters, in vectors of 8.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn random_of_16(counter: u32, key: [u32; 3]) -> [Pair; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let [x, y, z, w] = pcg4d!(
            _mm256_set1_epi32,
            _mm256_add_epi32,
            _mm256_mullo_epi32,
            _mm256_xor_si256,
            _mm256_srli_epi32,
            lanes,
            counter,
            key
        );
        let mut numbers = [(_mm256_setzero_ps(), _mm256_setzero_ps()); 4];
        for i in 0..CHAINS {
            let a = _mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(x[i]));
            let b = _mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(y[i]));
            let c = _mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(z[i]));
            let d = _mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(w[i]));
            // Pairs of counters 0, 1, 4, 5 and 2, 3, 6, 7; then quadruples, of which each half holds some.
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let even = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
            let odd = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
            let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            let third = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
            let fourth = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
            numbers[2 * i] =
                (_mm256_permute2f128_ps::<0x20>(even, odd), _mm256_permute2f128_ps::<0x20>(third, fourth));
            numbers[2 * i + 1] =
                (_mm256_permute2f128_ps::<0x31>(even, odd), _mm256_permute2f128_ps::<0x31>(third, fourth));
        }
        numbers
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
        random(counter: u32, key: [u32; 3]) -> [__m512; DRAWN / LANES] {{
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let [x, y, z, w] = pcg4d!(
                _mm512_set1_epi32, _mm512_add_epi32, _mm512_mullo_epi32, _mm512_xor_si512, _mm512_srli_epi32,
                lanes, counter, key
            );
            // To pairs of lanes, then to quadruples. From 16, or 8, on: those of the second vector.
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            let first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
            let second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
            let mut numbers = [_mm512_setzero_ps(); DRAWN / LANES];
            for i in 0..CHAINS {
                let a = _mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(x[i]));
                let b = _mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(y[i]));
                let c = _mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(z[i]));
                let d = _mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(w[i]));
                let (ab, cd) = (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(c, low, d));
                let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
                numbers[4 * i] = _mm512_castpd_ps(_mm512_permutex2var_pd(ab, first, cd));
                numbers[4 * i + 1] = _mm512_castpd_ps(_mm512_permutex2var_pd(ab, second, cd));
                let (ab, cd) = (_mm512_permutex2var_ps(a, high, b), _mm512_permutex2var_ps(c, high, d));
                let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
                numbers[4 * i + 2] = _mm512_castpd_ps(_mm512_permutex2var_pd(ab, first, cd));
                numbers[4 * i + 3] = _mm512_castpd_ps(_mm512_permutex2var_pd(ab, second, cd));
            }
            numbers
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
        random(counter: u32, key: [u32; 3]) -> [Pair; DRAWN / LANES] {{
            let [a, b, c, d] = random_of_16(counter, key);
            let [e, f, g, h] = random_of_16(counter.wrapping_add(16), key);
            [a, b, c, d, e, f, g, h]
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
