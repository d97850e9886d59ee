//! What the generators of random numbers share, fixed for good so that a seed means the same in every release.
//!
//! Architecture invariants of this crate:
//!
//! - It knows no stream, no seed and no purpose: those are of the crates that draw, and a part of their formats.
//! - It depends on nothing, because the sampling of other crates may change between versions.

/// What SplitMix64 moves its state by.
pub const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of SplitMix64 from `state` (Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, 2014).
pub fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An integer uniform in `0..bound` out of uniform words, mostly of one, without bias (Lemire, *Fast Random Integer
/// Generation in an Interval*, 2019); 0 if `bound` is 0.
pub fn below(bound: u32, mut word: impl FnMut() -> u64) -> u32 {
    let bound = u64::from(bound);
    loop {
        let product = u128::from(word()) * u128::from(bound);
        // The lowest 2^64 mod bound products of each value are surplus.
        if bound == 0 || product as u64 >= bound.wrapping_neg() % bound {
            return (product >> 64) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of SplitMix64 from a state.
    fn words(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            let word = mix(state);
            state = state.wrapping_add(GAMMA);
            word
        }
    }

    #[test]
    fn words_are_those_of_splitmix64() {
        // The published sequence from state 1234567.
        let mut word = words(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([word(), word(), word()], expected);
    }

    #[test]
    fn integers_are_uniform_and_in_range() {
        let mut word = words(5);
        for bound in [1, 2, 3, 9, 10, 1000, u32::MAX] {
            assert!((0..1000).all(|_| below(bound, &mut word) < bound));
        }
        assert_eq!(below(0, &mut word), 0);
        let mut counts = [0i32; 9];
        (0..90_000).for_each(|_| counts[below(9, &mut word) as usize] += 1);
        // The standard deviation of a count is 94.
        assert!(counts.iter().all(|count| (count - 10_000).abs() < 470), "{counts:?}");
    }

    #[test]
    fn a_word_that_would_bias_is_drawn_again() {
        // 2^64 mod 3 is 1: the product 0 is surplus.
        let mut given = [0, u64::MAX].into_iter();
        assert_eq!(below(3, || given.next().unwrap()), 2);
        assert_eq!(given.next(), None);
    }
}
