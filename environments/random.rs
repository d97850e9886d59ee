//! The generator behind every random choice of this crate, fixed for good so that a seed means the same episodes on every
//! platform and in every release.
//!
//! Word n of a stream is a function of the stream's key and n (SplitMix64, [`random::mix`]), so all there is to save is how
//! many words were drawn:
//!
//! ```text
//! key = f(f(f(seed) ^ purpose) ^ index)      word n = f(key + n * 0x9e3779b97f4a7c15)
//! ```

use random::{GAMMA, below, mix};

/// What random numbers are for. Different purposes never share a stream; the numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// What happens in an environment.
    Episodes = 1,
    /// Labels that have nothing to do with the images.
    Labels = 2,
    /// Which images take part.
    Images = 3,
    /// When an agent acts at random, and what it does.
    Exploration = 4,
}

/// A stream of random numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    key: u64,
    drawn: u64,
}

impl Random {
    /// The stream of `index` for `purpose` under `seed`.
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        Self { key: mix(mix(mix(seed) ^ purpose as u64) ^ index), drawn: 0 }
    }

    /// How many words were drawn: with it [`restore`](Self::restore) goes on in the same place.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// Moves to the place behind `drawn` words.
    pub fn restore(&mut self, drawn: u64) {
        self.drawn = drawn;
    }

    /// 64 random bits.
    pub fn word(&mut self) -> u64 {
        let word = mix(self.key.wrapping_add(self.drawn.wrapping_mul(GAMMA)));
        self.drawn = self.drawn.wrapping_add(1);
        word
    }

    /// A number uniform in [0, 1): 53 random bits, exact.
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An integer uniform in `0..bound`, see [`random::below`]; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        below(bound, || self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_on_where_it_was_left() {
        let mut random = Random::new(3, Purpose::Episodes, 0);
        assert!((0..100).all(|_| random.below(7) < 7));
        let mut other = Random::new(3, Purpose::Episodes, 0);
        other.restore(random.drawn());
        assert!((0..100).all(|_| random.unit() == other.unit()));
    }

    #[test]
    fn neighbouring_streams_share_nothing() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..50 {
            for index in 0..50 {
                let mut random = Random::new(seed, Purpose::Episodes, index);
                assert!((0..4).all(|_| seen.insert(random.word())), "{seed} {index}");
            }
        }
    }

    #[test]
    fn floats_are_uniform() {
        let mut random = Random::new(5, Purpose::Episodes, 0);
        let mean = (0..10_000).map(|_| random.unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
    }

    #[test]
    fn streams_are_pinned() {
        let mut random = Random::new(0, Purpose::Episodes, 0);
        assert_eq!([random.word(), random.word()], PINNED);
    }
    const PINNED: [u64; 2] = [15_114_123_258_453_576_503, 4_672_125_198_739_041_305];
}
