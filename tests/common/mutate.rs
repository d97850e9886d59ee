//! Bytes made wrong: the inputs of fuzz tests. Each crate's fuzz test includes this file.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// How many inputs a fuzz test gives each reader: `HT_FUZZ`, or few enough for every test run.
pub fn rounds() -> u64 {
    std::env::var("HT_FUZZ").map_or(2_000, |rounds| rounds.parse().expect("HT_FUZZ is a number"))
}

/// Makes inputs out of good ones; the same every time.
pub struct Mutator {
    random: Pcg64Mcg,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self { random: Pcg64Mcg::seed_from_u64(seed) }
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.random.random_range(0..n)
    }

    /// One of these.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A copy of one of `good` with one to four changes: bits, bytes, numbers at their limits, cuts, repetitions, pieces
    /// of another.
    pub fn bytes(&mut self, good: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.one(good).clone();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                bytes = self.one(good).clone();
            }
            let at = self.below(bytes.len().max(1));
            match self.below(8) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.random.random(),
                2 => {
                    let extreme =
                        *self.one(&[0u64, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 63, u64::MAX]);
                    let (width, end) = (*self.one(&[1, 2, 4, 8]), bytes.len());
                    let number =
                        if self.below(2) == 0 { extreme.to_le_bytes() } else { extreme.to_be_bytes() };
                    let number = if number[0] == 0 { &number[8 - width..] } else { &number[..width] };
                    let room = width.min(end - at);
                    bytes[at..at + room].copy_from_slice(&number[..room]);
                }
                3 => bytes.truncate(at),
                4 => drop(bytes.drain(..at)),
                5 => {
                    let end = (at + self.below(64)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                6 => {
                    let other = self.one(good).clone();
                    if !other.is_empty() {
                        let from = self.below(other.len());
                        let to = (from + self.below(256)).min(other.len());
                        let end = (at + (to - from)).min(bytes.len());
                        bytes.splice(at..end, other[from..to].iter().copied());
                    }
                }
                _ => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes.drain(at..end);
                }
            }
        }
        bytes
    }

    /// As [`Mutator::bytes`], with words of the text itself exchanged, for formats that people write.
    pub fn text(&mut self, good: &[&str], words: &[&str]) -> String {
        if self.below(2) == 0 {
            let good: Vec<Vec<u8>> = good.iter().map(|text| text.as_bytes().to_vec()).collect();
            return String::from_utf8_lossy(&self.bytes(&good)).into_owned();
        }
        let mut lines: Vec<String> = self.one(good).lines().map(str::to_string).collect();
        for _ in 0..=self.below(4) {
            let at = self.below(lines.len().max(1));
            let word = (*self.one(words)).to_string();
            match self.below(4) {
                0 if lines.len() > 1 => drop(lines.remove(at)),
                1 => lines.insert(at, word),
                2 if !lines.is_empty() => {
                    let key = lines[at].split('=').next().unwrap_or_default().to_string();
                    lines[at] = format!("{key}= {word}");
                }
                _ if !lines.is_empty() => {
                    let copy = self.one(&lines).clone();
                    lines.insert(at, copy);
                }
                _ => {}
            }
        }
        lines.join("\n")
    }
}
