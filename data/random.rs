//! The generator behind every random choice of this crate, fixed for good so that a seed means the same data on every
//! platform and in every release.
//!
//! The generator is PCG-64 (`Lcg128Xsl64`; O'Neill, *PCG: A Family of Simple Fast Space-Efficient Statistically Good
//! Algorithms for Random Number Generation*, 2014). Its starting state mixes three words, a seed, a [`Purpose`] and
//! an index (a phase, the number of an image):
//!
//! ```text
//! h0 = f(seed)   h1 = f(h0 ^ purpose)   h2 = f(h1 ^ index)   h3 = f(h2)   state = h2 * 2^64 + h3   stream = purpose
//! ```
//!
//! where `f` is one step of SplitMix64 ([`random::mix`]).
//! Integers and floats are derived from its words here and not by a crate whose sampling may change between versions.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;
use random::{below, mix};

/// What random numbers are for. Different purposes never share a stream; the numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Which examples belong to which phase.
    Subset = 1,
    /// Which labels are noisy and what they become.
    Noise = 2,
    /// Which earlier examples stay in a limited buffer.
    Buffer = 3,
    /// Training images of the built-in set of digits.
    StrokesTrain = 4,
    /// Test images of the built-in set of digits.
    StrokesTest = 5,
    /// Training images of the built-in set in colour.
    ScenesTrain = 6,
    /// Test images of the built-in set in colour.
    ScenesTest = 7,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(Pcg64);

impl Random {
    /// The stream of `index` for `purpose` under `seed`.
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let high = mix(mix(mix(seed) ^ purpose as u64) ^ index);
        let state = (u128::from(high) << 64) | u128::from(mix(high));
        Self(Pcg64::new(state, purpose as u128))
    }

    /// 64 random bits.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A float uniform in [0, 1): 24 random bits, exact.
    pub fn unit(&mut self) -> f32 {
        (self.word() >> 40) as f32 * (1.0 / 16_777_216.0)
    }

    /// A float uniform between `low` and `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// An integer uniform in `0..bound`, see [`random::below`]; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        below(bound, || self.word())
    }

    /// Moves `count` elements of `items`, drawn uniformly without replacement and in random order, to its front
    /// (the head of a Fisher-Yates shuffle) and returns them. A larger `count` than there are items shuffles them all.
    pub fn draw<'a, T>(&mut self, items: &'a mut [T], count: usize) -> &'a mut [T] {
        let count = count.min(items.len());
        for index in 0..count {
            let left = u32::try_from(items.len() - index).unwrap_or(u32::MAX);
            items.swap(index, index + self.below(left) as usize);
        }
        &mut items[..count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned() {
        let words = |seed, purpose, index| {
            let mut random = Random::new(seed, purpose, index);
            [random.word(), random.word()]
        };
        assert_eq!(words(0, Purpose::Subset, 0), PINNED[0]);
        assert_eq!(words(1, Purpose::Noise, 2), PINNED[1]);
        assert_eq!(words(u64::MAX, Purpose::StrokesTest, 1999), PINNED[2]);
    }
    const PINNED: [[u64; 2]; 3] = [
        [3_871_967_690_294_897_429, 7_119_892_713_644_939_238],
        [15_242_517_814_094_635_427, 6_652_261_932_305_550_388],
        [16_087_251_411_391_702_523, 17_474_154_762_643_383_251],
    ];

    #[test]
    fn neighbouring_streams_share_nothing() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..20 {
            for purpose in [Purpose::Subset, Purpose::Noise, Purpose::StrokesTrain] {
                for index in 0..20 {
                    assert!(seen.insert(Random::new(seed, purpose, index).word()));
                }
            }
        }
    }

    #[test]
    fn floats_fill_the_unit_interval() {
        let mut random = Random::new(6, Purpose::Noise, 0);
        let values: Vec<f32> = (0..10_000).map(|_| random.unit()).collect();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        let mean = values.iter().sum::<f32>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
        assert!((0..100).map(|_| random.between(-2.0, 3.0)).all(|value| (-2.0..3.0).contains(&value)));
    }

    #[test]
    fn every_order_is_as_likely() {
        let mut random = Random::new(7, Purpose::Subset, 0);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..12_000 {
            let mut items = [0, 1, 2, 3];
            *counts.entry(random.draw(&mut items, 2).to_vec()).or_insert(0i32) += 1;
        }
        assert_eq!(counts.len(), 12, "ordered pairs of four");
        assert!(counts.values().all(|count| (count - 1000).abs() < 160), "{counts:?}");
    }
}
