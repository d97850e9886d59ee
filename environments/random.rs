//! The generator behind every random choice of this crate, fixed for good so that a seed means the same episodes on every
//! platform and in every release.
//!
//! Word n of a stream is a function of the stream's key and n (SplitMix64; Steele, Lea and Flood, *Fast Splittable
//! Pseudorandom Number Generators*, 2014), so all there is to save is how many words were drawn:
//!
//! ```text
//! key = f(f(f(seed) ^ purpose) ^ index)      word n = f(key + n * 0x9e3779b97f4a7c15)
//! ```

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

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of SplitMix64 from `state`.
pub(crate) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
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

    /// An integer uniform in `0..bound`, without bias (Lemire, *Fast Random Integer Generation in an Interval*, 2019);
    /// 0 if `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        let bound = u64::from(bound);
        loop {
            let product = u128::from(self.word()) * u128::from(bound);
            // The lowest 2^64 mod bound products of each value are surplus.
            if bound == 0 || product as u64 >= bound.wrapping_neg() % bound {
                return (product >> 64) as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_splitmix64() {
        // The published sequence from state 1234567: this key begins it.
        let mut random = Random { key: 1_234_567, drawn: 0 };
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.word(), random.word(), random.word()], expected);
    }

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
    fn numbers_are_uniform_and_in_range() {
        let mut random = Random::new(5, Purpose::Episodes, 0);
        for bound in [1, 2, 3, 9, 10, 1000, u32::MAX] {
            assert!((0..1000).all(|_| random.below(bound) < bound));
        }
        assert_eq!(random.below(0), 0);
        let mut counts = [0i32; 9];
        (0..90_000).for_each(|_| counts[random.below(9) as usize] += 1);
        // The standard deviation of a count is 94.
        assert!(counts.iter().all(|count| (count - 10_000).abs() < 470), "{counts:?}");
        let mean = (0..10_000).map(|_| random.unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
    }
}
