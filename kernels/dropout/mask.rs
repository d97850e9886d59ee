//! The mask of a dropout layer, for the kernels that apply it to what they compute.

use crate::Clock;
use crate::random::{pcg4d, stream};

/// WGSL text of `dropout_factors`; needs `random.wgsl`.
pub(crate) const WGSL: &str = include_str!("mask.wgsl");

/// Elements whose masks are drawn together.
const BLOCK: usize = 64;

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
    ///
    /// Must be inlined into the body of a [`Vectorised`](crate::simd::Vectorised): it is integer arithmetic that the
    /// compiler vectorises.
    #[inline(always)]
    pub(crate) fn factors(self, clock: &Clock, counter: u32, factors: &mut [f32]) {
        // Kept if the upper 24 bits of the word, as a number, are at least this: a product by a power of two is exact.
        let threshold = (self.rate * 16_777_216.0).ceil() as u32;
        let (blocks, rest) = factors.as_chunks_mut::<BLOCK>();
        let mut counter = counter;
        for block in blocks {
            self.block(clock, counter, threshold, block);
            counter = counter.wrapping_add((BLOCK / 4) as u32);
        }
        if !rest.is_empty() {
            let mut block = [0.0; BLOCK];
            self.block(clock, counter, threshold, &mut block);
            rest.copy_from_slice(&block[..rest.len()]);
        }
    }

    #[inline(always)]
    fn block(self, clock: &Clock, counter: u32, threshold: u32, factors: &mut [f32; BLOCK]) {
        let (stream, scale) = (self.stream(), self.scale());
        let mut words = [[0; BLOCK / 4]; 4];
        let [a, b, c, d] = &mut words;
        for (i, (((a, b), c), d)) in a.iter_mut().zip(b).zip(c).zip(d).enumerate() {
            [*a, *b, *c, *d] = pcg4d([counter.wrapping_add(i as u32), clock.step, stream, clock.seed]);
        }
        for (i, factor) in factors.iter_mut().enumerate() {
            *factor = if words[i % 4][i / 4] >> 8 >= threshold { scale } else { 0.0 };
        }
    }

    /// The f64 definition of a factor, for the cases of kernels.
    pub(crate) fn definition(self, clock: &Clock, counter: u32, lane: usize) -> f64 {
        let word = pcg4d([counter, clock.step, self.stream(), clock.seed])[lane];
        if crate::random::unit(word) >= self.rate { 1.0 / (1.0 - f64::from(self.rate)) } else { 0.0 }
    }
}
