//! Counter-based randomness: the same numbers on both devices, in any order, after any resume.
//!
//! `pcg4d` (Jarzynski and Olano, *Hash Functions for GPU Rendering*, JCGT 2020) maps four words to four random words
//! with 32-bit integer arithmetic only, so Rust and WGSL agree bit for bit. A stream is keyed by what it is for, so
//! no two uses share numbers. `random.wgsl` is the same text for shaders.
//!
//! Not the crate `rand`: its generators may change their numbers between versions, draw in sequence, and do not run in
//! shaders, while the numbers drawn here are part of every published run. Inputs of tests, which are not, come from `rand`.

use crate::template::expand;

/// WGSL text of [`pcg4d`], [`unit()`], [`below`], [`uniform_index`] and [`shuffled`].
pub fn wgsl() -> String {
    expand(include_str!("random.wgsl"), &[("STREAM", &stream::SHUFFLE), ("ROUNDS", &ROUNDS)])
}

/// Streams: what a random number is for. The third word of every counter.
pub mod stream {
    /// The order of the examples in an epoch.
    pub const SHUFFLE: u32 = 1;
    /// Crops and flips of images.
    pub const AUGMENT: u32 = 2;
    /// Fresh weights of shrink & perturb.
    pub const PERTURB: u32 = 3;
    /// Transitions of a batch.
    pub const REPLAY: u32 = 4;
    /// Dropout masks; the layer's number is added.
    pub const DROPOUT: u32 = 0x1_0000;
    /// New weights of dormant units; the tensor's number is added.
    pub const RECYCLE: u32 = 0x2_0000;
}

/// Four random words from four counter words.
#[inline(always)]
pub fn pcg4d(counter: [u32; 4]) -> [u32; 4] {
    let [mut x, mut y, mut z, mut w] = counter.map(|v| v.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    for round in 0..2 {
        x = x.wrapping_add(y.wrapping_mul(w));
        y = y.wrapping_add(z.wrapping_mul(x));
        z = z.wrapping_add(x.wrapping_mul(y));
        w = w.wrapping_add(y.wrapping_mul(z));
        if round == 0 {
            x ^= x >> 16;
            y ^= y >> 16;
            z ^= z >> 16;
            w ^= w >> 16;
        }
    }
    [x, y, z, w]
}

/// A float in [0, 1) from a random word: its upper 24 bits, exact on every device.
#[inline(always)]
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A number below `n` from a random word; `n` is less than 2^16, and the probabilities differ by at most 2^-16.
#[inline(always)]
pub fn below(word: u32, n: u32) -> u32 {
    ((word >> 16) * n) >> 16
}

/// A number below `n` from a random word, `floor(word n / 2^32)`: for any n, and the probabilities differ by at most 2^-32.
#[inline(always)]
pub fn uniform_index(word: u32, n: u32) -> u32 {
    ((u64::from(word) * u64::from(n)) >> 32) as u32
}

/// Rounds of the Feistel network in [`shuffled`]; even, so that the halves end in their places.
const ROUNDS: u32 = 8;

/// Position `index` of the shuffled order of `0..n` in `epoch`: a bijection of `0..n` keyed by seed and epoch.
///
/// A Feistel network permutes the smallest power of two that holds n; indices that fall outside `0..n` walk the cycle
/// until they are inside (Black and Rogaway, *Ciphers with Arbitrary Finite Domains*, 2002; as a shuffle for GPUs:
/// Mitchell et al., *Bandwidth-Optimal Random Shuffling for GPUs*, 2022). So an epoch's order needs no memory, no
/// upload and no state.
#[inline]
pub fn shuffled(index: u32, n: u32, seed: u32, epoch: u32) -> u32 {
    let bits = shuffle_bits(n);
    let mut value = index;
    loop {
        // With an odd number of bits the halves differ in width and trade places every round.
        let (mut left_bits, mut right_bits) = (bits / 2, bits - bits / 2);
        let (mut left, mut right) = (value >> right_bits, value & ((1 << right_bits) - 1));
        for round in 0..ROUNDS {
            let mixed = pcg4d([right, epoch, stream::SHUFFLE + (round << 8), seed])[0] >> (32 - left_bits);
            (left, right) = (right, left ^ mixed);
            (left_bits, right_bits) = (right_bits, left_bits);
        }
        value = (left << right_bits) | right;
        if value < n {
            return value;
        }
    }
}

/// Bits of the smallest domain that holds `0..n`, at least 2: what `shuffled` in `random.wgsl` is given.
pub fn shuffle_bits(n: u32) -> u32 {
    (u32::BITS - n.saturating_sub(1).leading_zeros()).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffled_is_a_permutation_for_every_size() {
        for n in [1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 1000, 6000, 60_000] {
            let mut seen = vec![false; n as usize];
            for index in 0..n {
                let value = shuffled(index, n, 3, 11) as usize;
                assert!(!seen[value], "{value} appears twice for n = {n}");
                seen[value] = true;
            }
        }
    }

    #[test]
    fn shuffles_of_different_epochs_look_independent() {
        // Mean and variance of position differences, and the share of fixed points, as for uniform permutations.
        let n = 10_000u32;
        let (mut fixed, mut correlation) = (0, 0.0);
        for index in 0..n {
            let (a, b) = (shuffled(index, n, 1, 0), shuffled(index, n, 1, 1));
            fixed += u32::from(a == b);
            correlation += (f64::from(a) - 4999.5) * (f64::from(b) - 4999.5);
        }
        assert!(fixed < 8, "{fixed} of 10,000 examples keep their place; one is expected");
        let normalised = correlation / (f64::from(n) * f64::from(n).powi(2) / 12.0);
        assert!(normalised.abs() < 0.04, "orders of two epochs correlate: {normalised}");
    }

    #[test]
    fn bits_of_pcg4d_are_balanced() {
        let ones: u32 =
            (0..4096).map(|i| pcg4d([i, 0, 0, 0]).iter().map(|w| w.count_ones()).sum::<u32>()).sum();
        let expected = 4096 * 64;
        assert!(ones.abs_diff(expected) < 2000, "{ones} ones, {expected} expected");
    }
}
