//! The mask of a dropout layer, for the kernels that apply it to what they compute.

use crate::Clock;
use crate::random::{pcg4d, stream};
use crate::simd::{DRAWN, LANES, Simd};

/// WGSL text of `dropout_factors`; needs `random.wgsl`.
pub(crate) const WGSL: &str = include_str!("mask.wgsl");

/// Which elements a layer drops, and what it multiplies the others with.
///
/// Element i of a list is kept if `unit(pcg4d(i / 4, step, DROPOUT + layer, seed)[i % 4]) >= rate`, and then multiplied with
/// `1 / (1 - rate)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    /// Probability of dropping an element, in [0, 1].
    pub rate: f32,
    /// Number of the layer: each has its own random stream.
    pub layer: u32,
}

impl Mask {
    /// What a kept element is multiplied with.
    pub(crate) fn scale(self) -> f32 {
        (1.0 / (1.0 - f64::from(self.rate))) as f32
    }
    /// Third word of the counter.
    pub(crate) fn stream(self) -> u32 {
        stream::DROPOUT + self.layer
    }
    /// The words that shaders take as immediates: stream, rate, scale.
    pub(crate) fn immediates(self) -> [u32; 3] {
        [self.stream(), self.rate.to_bits(), self.scale().to_bits()]
    }

    /// What each element from `4 * counter` on is multiplied with: the scale, or 0.
    #[inline(always)]
    pub(crate) fn factors<S: Simd>(self, s: S, clock: &Clock, counter: u32, factors: &mut [f32]) {
        let (blocks, rest) = factors.as_chunks_mut::<DRAWN>();
        let mut counter = counter;
        for block in blocks {
            self.block(s, clock, counter, block);
            counter = counter.wrapping_add((DRAWN / 4) as u32);
        }
        if !rest.is_empty() {
            let mut block = [0.0; DRAWN];
            self.block(s, clock, counter, &mut block);
            rest.copy_from_slice(&block[..rest.len()]);
        }
    }

    #[inline(always)]
    fn block<S: Simd>(self, s: S, clock: &Clock, counter: u32, factors: &mut [f32; DRAWN]) {
        // The largest integer that is dropped: the difference is exact.
        let below = s.splat((self.rate * 16_777_216.0).ceil() - 1.0);
        let scale = s.splat(self.scale());
        let key = [clock.step, self.stream(), clock.seed];
        let numbers = s.random(counter, key);
        for (factors, number) in factors.as_chunks_mut::<LANES>().0.iter_mut().zip(numbers) {
            s.store(factors, s.keep_positive(scale, s.sub(number, below)));
        }
    }

    /// The f64 definition of a factor, for the cases of kernels.
    pub(crate) fn definition(self, clock: &Clock, counter: u32, lane: usize) -> f64 {
        let word = pcg4d([counter, clock.step, self.stream(), clock.seed])[lane];
        if crate::random::unit(word) >= self.rate { 1.0 / (1.0 - f64::from(self.rate)) } else { 0.0 }
    }
}
