//! What a program tells about its launches.

use kernels::{Access, Binding, Cost};
use std::fmt;

/// What a program does, launch by launch.
#[derive(Clone, Debug)]
pub struct LaunchReport {
    /// The launch's label.
    pub label: String,
    /// The kernel's name.
    pub kernel: &'static str,
    /// The kernel's shape.
    pub shape: String,
    /// Arithmetic and traffic.
    pub cost: Cost,
    /// GPU: shader label and grid of every dispatch; empty on the CPU.
    pub dispatches: Vec<(String, [u32; 3])>,
}

/// The first value that was not finite in a checked run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// The launch.
    pub launch: String,
    /// The kernel's buffer.
    pub buffer: &'static str,
    /// Index of the value in the buffer.
    pub index: usize,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' of '{}' at index {}", self.buffer, self.launch, self.index)
    }
}

/// The index of the first float that is not finite, where `binding` is written and holds floats.
pub(super) fn first_non_finite(binding: &Binding, words: &[u32]) -> Option<usize> {
    let floats = binding.access != Access::Read && !binding.integers;
    floats.then(|| words.iter().position(|&word| !f32::from_bits(word).is_finite()))?
}
