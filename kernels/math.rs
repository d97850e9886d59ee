//! Functions that processors do not have, or whose precision a driver would choose: exponential, error function, and what
//! normal numbers are made of.
//!
//! | function | range | error |
//! |---|---|---|
//! | [`exp_not_positive`] | x <= 0 | 2e-7 relative down to -87, from there on it falls to 0 at -88 |
//! | [`erf`] | all | 4e-7 absolute |
//! | [`log_of_share`] | n / 2^24 in (0, 1] | 2e-7 relative |
//! | [`turn`] | whole turns | 1.2e-7 absolute |
//!
//! The first two take vectors and fused products, so they agree to these errors between instruction sets. The others,
//! on which random draws hang, are products and sums in a fixed order: equal bits on every instruction set, and on GPUs
//! the same but for products that a driver fuses. `math.wgsl` is the same text for shaders, without the exponential.

use crate::simd::Simd;

/// WGSL text of [`erf`], [`log_of_share`], [`turn`] and [`normals`].
pub(crate) const WGSL: &str = include_str!("math.wgsl");

/// `e^x` for x at most 0: `2^n p(r)` with `n = round(x / ln 2)`, `r = x - n ln 2` and the polynomial p of Cephes' expf
/// (Moshier). The relative error is below 2e-7 down to -87. From there on it falls to 0 at -88: results that are no normal
/// numbers, and products with them, would take a processor a hundred times as long.
#[inline(always)]
pub(crate) fn exp_not_positive<S: Simd>(s: S, x: S::V) -> S::V {
    // Adding 1.5 * 2^23 rounds to an integer that lies in the lower bits.
    const ROUND: f32 = 12_582_912.0;
    // -127 ln 2, whose power of two has the bits of 0. In this order a NaN stays a NaN.
    let x = s.max(s.splat(-88.029_69), x);
    let rounded = s.fma(x, s.splat(std::f32::consts::LOG2_E), s.splat(ROUND));
    let n = s.sub(rounded, s.splat(ROUND));
    // ln 2 in two parts, of which the first has few bits: n times it is exact.
    let r = s.fma(n, s.splat(-0.693_359_4), x);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_1e-4);
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = s.fma(p, r, s.splat(coefficient));
    }
    let mantissa = s.add(s.fma(p, s.mul(r, r), r), s.splat(1.0));
    let mut power = s.lanes(rounded);
    for lane in &mut power {
        *lane = f32::from_bits(lane.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    }
    s.mul(mantissa, s.load(&power))
}

/// `erf(x) = 2 / sqrt(pi) ∫_0^x e^(-t²) dt` as a quotient of polynomials in x² (Eigen's `erf` for f32). The error is below
/// 4e-7; beyond 4 the function is 1 to f32.
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    const P: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const Q: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827_e-3, -7.373_329e-3, -1.426_473_9e-2];
    // min(x, 4) = -max(-4, -x). In this order a NaN stays a NaN.
    let x = s.max(s.splat(-4.0), x);
    let x = s.sub(s.splat(0.0), s.max(s.splat(-4.0), s.sub(s.splat(0.0), x)));
    let square = s.mul(x, x);
    s.div(s.mul(x, polynomial(s, &P, square)), polynomial(s, &Q, square))
}

/// [`erf`] in f64, for definitions: `2 / sqrt(pi) e^(-x²) Σ_n 2^n x^(2n+1) / (2n+1)!!`, a series without cancellation.
pub(crate) fn erf_defined(x: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (x, 0.0, 1.0);
    while sum + term != sum {
        sum += term;
        odd += 2.0;
        term *= 2.0 * x * x / odd;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

/// Highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, coefficients: &[f32; N], x: S::V) -> S::V {
    let mut sum = s.splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(coefficient));
    }
    sum
}

/// Numbers of a uniform draw: integers below this.
const RANGE: f32 = 16_777_216.0;

/// `ln(n / 2^24)` for n from 1 to 2^24: the exponent times ln 2, in two parts, and the polynomial of Cephes' logf (Moshier)
/// for a mantissa between the roots of 1/2 and of 2.
#[inline(always)]
pub(crate) fn log_of_share(n: u32) -> f32 {
    const ROOT: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    // Adds to the exponent what brings mantissas above the root of 2 below 1.
    let bits = (n as f32).to_bits() + (1f32.to_bits() - ROOT);
    let exponent = ((bits >> 23) as i32 - 127 - 24) as f32;
    let f = f32::from_bits((bits & 0x7f_ffff) + ROOT) - 1.0;
    let mut p = 0.070_376_836;
    for coefficient in [
        -0.115_146_1,
        0.116_769_984,
        -0.124_201_41,
        0.142_493_23,
        -0.166_680_57,
        0.200_007_14,
        -0.249_999_94,
        0.333_333_3,
    ] {
        p = p * f + coefficient;
    }
    let square = f * f;
    let small = p * square * f - exponent * 2.121_944_4e-4 - 0.5 * square;
    small + f + exponent * 0.693_359_4
}

/// Cosine and sine of `n / 2^24` turns, for n below 2^24: Cephes' polynomials for an eighth of a turn to either side of the
/// next whole quarter. To that quarter all is exact, for n is an integer.
#[inline(always)]
pub(crate) fn turn(n: u32) -> [f32; 2] {
    let quarter = (n + (1 << 21)) >> 22;
    let t = (n as i32 - (quarter << 22) as i32) as f32 * (1.0 / RANGE);
    let square = t * t;
    let sine =
        t * (((-75.445_66 * square + 81.593_765) * square - 41.341_67) * square + std::f32::consts::TAU);
    let cosine =
        (((59.349_7 * square - 85.447_14) * square + 64.939_36) * square - 19.739_208) * square + 1.0;
    let [x, y] = if quarter & 1 != 0 { [sine, cosine] } else { [cosine, sine] };
    let sign = |bit: u32| (bit & 2) << 30;
    [f32::from_bits(x.to_bits() ^ sign(quarter + 1)), f32::from_bits(y.to_bits() ^ sign(quarter))]
}

/// Two normal numbers from two uniform integers below 2^24 (Box and Muller 1958):
/// `sqrt(-2 ln((radius + 1) / 2^24))` times cosine and sine of `angle / 2^24` turns.
#[inline(always)]
pub(crate) fn normals([radius, angle]: [u32; 2]) -> [f32; 2] {
    let radius = (-2.0 * log_of_share(radius + 1)).sqrt();
    turn(angle).map(|direction| radius * direction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, LANES, Vectorised};
    use approx::{abs_diff_eq, assert_abs_diff_eq, assert_relative_eq};

    /// The exponential of minus the magnitude, and the error function.
    struct Both([f32; LANES]);
    impl Vectorised for Both {
        type Output = [[f32; LANES]; 2];
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let negative = self.0.map(|x| -x.abs());
            [s.lanes(exp_not_positive(s, s.load(&negative))), s.lanes(erf(s, s.load(&self.0)))]
        }
    }

    #[test]
    fn both_functions_are_accurate_on_every_instruction_set() {
        for isa in Isa::supported() {
            for step in 0..=87_000 / LANES {
                let x: [f32; LANES] =
                    std::array::from_fn(|i| -((step * LANES + i).min(87_000) as f32) / 1000.0);
                for (x, exp) in x.into_iter().zip(isa.run(Both(x))[0]) {
                    assert_relative_eq!(
                        f64::from(exp),
                        f64::from(x).exp(),
                        epsilon = 0.0,
                        max_relative = 2e-7
                    );
                }
            }
            for x in [88.1, 100.0, 1e30, f32::MAX] {
                assert_eq!(isa.run(Both([x; LANES]))[0], [0.0; LANES], "{isa:?}: exp(-{x})");
            }
            for step in 0..2000 {
                let x: [f32; LANES] = std::array::from_fn(|i| (step * 16 + i as i32 - 16_000) as f32 * 3e-4);
                let [_, erf] = isa.run(Both(x));
                for i in 0..LANES {
                    let x = f64::from(x[i]);
                    assert_abs_diff_eq!(f64::from(erf[i]), erf_defined(x), epsilon = 4e-7);
                }
            }
            let [exp, erf] = isa.run(Both([f32::NAN; LANES]));
            assert!(exp[0].is_nan() && erf[0].is_nan(), "{isa:?}");
            let [exp, erf] = isa.run(Both([f32::INFINITY; LANES]));
            assert!(exp[0] == 0.0 && abs_diff_eq!(erf[0], 1.0, epsilon = 2e-7), "{isa:?}");
        }
    }

    #[test]
    fn logarithm_and_turn_are_accurate_for_every_number_that_is_drawn() {
        for n in 0..1 << 24 {
            let share = f64::from(n + 1) / f64::from(RANGE);
            let log = f64::from(log_of_share(n + 1));
            assert_relative_eq!(log, share.ln(), epsilon = 0.0, max_relative = 2e-7);
            let (sine, cosine) = (std::f64::consts::TAU * f64::from(n) / f64::from(RANGE)).sin_cos();
            let [x, y] = turn(n).map(f64::from);
            assert_abs_diff_eq!(x, cosine, epsilon = 1.2e-7);
            assert_abs_diff_eq!(y, sine, epsilon = 1.2e-7);
        }
    }

    /// Normal numbers of pairs, as kernels draw them.
    struct Normals<'a>(&'a [[u32; 2]]);
    impl Vectorised for Normals<'_> {
        type Output = Vec<[u32; 2]>;
        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> Self::Output {
            self.0.iter().map(|&pair| normals(pair).map(f32::to_bits)).collect()
        }
    }

    #[test]
    fn normal_numbers_have_the_same_bits_on_every_instruction_set() {
        let last = (1 << 24) - 1;
        let mut pairs: Vec<[u32; 2]> = (0..100_000)
            .map(|i| crate::random::pcg4d([i, 1, 2, 3]))
            .map(|w| [w[0] >> 8, w[1] >> 8])
            .collect();
        pairs.extend([[0, 0], [last, last], [0, 1 << 21], [1, (1 << 21) - 1], [last - 1, 3 << 22]]);
        let results: Vec<_> = Isa::supported().into_iter().map(|isa| isa.run(Normals(&pairs))).collect();
        assert!(results.iter().all(|result| *result == results[0]));
        // Mean and variance of 200,000 normal numbers: 5 standard errors.
        let values: Vec<f64> =
            results[0].as_flattened().iter().map(|&v| f64::from(f32::from_bits(v))).collect();
        let mean = |of: &dyn Fn(f64) -> f64| values.iter().map(|&v| of(v)).sum::<f64>() / values.len() as f64;
        assert!(mean(&|v| v).abs() < 0.012 && (mean(&|v| v * v) - 1.0).abs() < 0.016);
    }
}
