//! The parts of a softmax over bins in vector lanes.

use crate::math::exp_not_positive;
use crate::simd::{LANES, Simd, fold, larger};

/// WGSL text of `softmax` and `sum_of_workgroup`.
pub(super) const WGSL: &str = include_str!("softmax.wgsl");

/// The largest logit, if all are finite.
pub(super) fn largest(logits: &[f32]) -> Option<f32> {
    let mut most = [f32::NEG_INFINITY; LANES];
    let mut finite = true;
    for part in logits.chunks(LANES) {
        for (most, &logit) in most.iter_mut().zip(part) {
            *most = larger(logit, *most);
            finite &= logit.is_finite();
        }
    }
    finite.then(|| fold(most, larger))
}

/// `exp(logit - largest)` of up to sixteen logits, zeros behind them.
#[inline(always)]
pub(super) fn exponentials<S: Simd>(s: S, logits: &[f32], largest: f32) -> S::V {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    lanes[..logits.len()].copy_from_slice(logits);
    exp_not_positive(s, s.sub(s.load(&lanes), s.splat(largest)))
}
