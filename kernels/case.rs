//! One case of a kernel: shapes, inputs and the f64 definition. Tests compare both devices with it; benches time it.

use crate::kernel::{Clock, Kernel};
use std::sync::Arc;

/// Contents of a buffer.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floats.
    F32(Vec<f32>),
    /// Integers, labels, packed bytes.
    U32(Vec<u32>),
}

impl Values {
    /// The words as they lie in memory.
    pub fn words(&self) -> &[u32] {
        match self {
            Values::F32(values) => bytemuck::cast_slice(values),
            Values::U32(values) => values,
        }
    }
    /// The values as f64, for the definition.
    pub fn f64(&self) -> Vec<f64> {
        match self {
            Values::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::U32(values) => values.iter().map(|&v| f64::from(v)).collect(),
        }
    }
}

/// What a case is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A few elements, odd and ragged shapes: checked on every device, lavapipe included.
    Tiny,
    /// The shape of a real layer: checked on the CPU and on real GPUs, and timed by `cargo bench`.
    Real,
}

/// The f64 definition: from the inputs of all buffers to the expected contents of each written one, in order of
/// [`Kernel::bindings`]; `None` for buffers that are only read.
pub type Definition = Box<dyn Fn(&[Values]) -> Vec<Option<Vec<f64>>> + Send + Sync>;

/// One kernel with inputs and what must come out.
pub struct Case {
    /// The kernel with its shapes.
    pub kernel: Arc<dyn Kernel>,
    /// The clock of the run.
    pub clock: Clock,
    /// Contents of every buffer before the run; those of [`crate::Access::Write`] buffers are ignored (poisoned).
    pub inputs: Vec<Values>,
    /// What must come out, in f64.
    pub expected: Definition,
    /// Largest allowed `norm(got - expected) / norm(expected)` of each written buffer; 0 means equal bits
    /// (integers, and floats that every device computes exactly).
    pub tolerance: f64,
    /// Where it is used.
    pub size: Size,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kernel.name(), self.kernel.shape())
    }
}

/// `n` reproducible floats in about [-1, 1), different for every `stream`.
pub fn test_values(n: usize, stream: u32) -> Vec<f32> {
    (0..n as u32).map(|i| crate::random::pcg4d([i, stream, 0x5eed, 7])[0] as f32 / 2f32.powi(31) - 1.0).collect()
}
