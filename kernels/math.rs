//! Functions of a vector that processors do not have: the exponential and the error function.

use crate::simd::Simd;

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

/// Highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, coefficients: &[f32; N], x: S::V) -> S::V {
    let mut sum = s.splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(coefficient));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, LANES, Vectorised};

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

    /// `erf(x) = 2 / sqrt(pi) e^(-x²) Σ_n 2^n x^(2n+1) / (2n+1)!!`, a series without cancellation.
    fn definition(x: f64) -> f64 {
        let (mut term, mut sum, mut odd) = (x, 0.0, 1.0);
        while sum + term != sum {
            sum += term;
            odd += 2.0;
            term *= 2.0 * x * x / odd;
        }
        2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
    }

    #[test]
    fn both_functions_are_accurate_on_every_instruction_set() {
        for isa in Isa::supported() {
            for step in 0..2000 {
                let x: [f32; LANES] = std::array::from_fn(|i| (step * 16 + i as i32 - 16_000) as f32 * 3e-4);
                let [exp, erf] = isa.run(Both(x));
                for i in 0..LANES {
                    let x = f64::from(x[i]);
                    let error = f64::from(exp[i]) / (-x.abs()).exp() - 1.0;
                    assert!(error.abs() < 3e-7, "{isa:?}: exp(-|{x}|) is off by {error}");
                    let error = f64::from(erf[i]) - definition(x);
                    assert!(error.abs() < 4e-7, "{isa:?}: erf({x}) is off by {error}");
                }
            }
            let [exp, erf] = isa.run(Both([f32::NAN; LANES]));
            assert!(exp[0].is_nan() && erf[0].is_nan(), "{isa:?}");
            let [exp, erf] = isa.run(Both([f32::INFINITY; LANES]));
            assert!(exp[0] == 0.0 && (erf[0] - 1.0).abs() < 2e-7, "{isa:?}");
        }
    }
}
