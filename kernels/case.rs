//! One case of a kernel: shapes, inputs and the f64 definition. Tests compare both devices with it; benches time it.

use crate::kernel::{Clock, Kernel};
use rand::SeedableRng;
use rand_distr::{Distribution, Uniform};
use rand_pcg::Pcg64;
use std::borrow::Cow;
use std::sync::Arc;

/// Contents of a buffer.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floats.
    F32(Vec<f32>),
    /// Integers, labels, packed bytes.
    U32(Vec<u32>),
    /// [`test_values`], made when they are needed: the buffers of all large cases together would fill the memory.
    Random {
        /// Number of floats.
        len: usize,
        /// Stream.
        stream: u32,
    },
}

impl Values {
    /// The words as they lie in memory.
    pub fn words(&self) -> Cow<'_, [u32]> {
        match self {
            Values::F32(values) => bytemuck::cast_slice(values).into(),
            Values::U32(values) => values.into(),
            Values::Random { len, stream } => bytemuck::cast_vec(test_values(*len, *stream)).into(),
        }
    }
    /// Number of words.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::U32(values) => values.len(),
            Values::Random { len, .. } => *len,
        }
    }
    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The values as f64, for the definition.
    pub fn f64(&self) -> Vec<f64> {
        match self {
            Values::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::U32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::Random { len, stream } => test_values(*len, *stream).into_iter().map(f64::from).collect(),
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
/// [`Kernel::bindings`]; `None` for buffers that are only read. A NaN is an element that is not checked: large cases
/// check a sample.
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

/// `n` reproducible floats in [-1, 1), different for every `stream`. No published number depends on them.
pub fn test_values(n: usize, stream: u32) -> Vec<f32> {
    let uniform = Uniform::new(-1.0, 1.0).expect("the range is finite and not empty");
    uniform.sample_iter(Pcg64::seed_from_u64(u64::from(stream))).take(n).collect()
}

/// Floats to be compared bit for bit, so that a NaN is a value like any other: the inputs of that buffer are integers.
pub(crate) fn bits(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(v.to_bits())).collect()
}

/// The derivative at 0 of a smooth function of one number, each element to fourth order: the definition of a tangent.
pub(crate) fn derivative(of: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 2e-3;
    let [near, near_back, far, far_back] = [0.5, -0.5, 1.0, -1.0].map(|share| of(share * STEP));
    let slope = |i: usize| (8.0 * (near[i] - near_back[i]) - (far[i] - far_back[i])) / (6.0 * STEP);
    (0..near.len()).map(slope).collect()
}

/// `x + h dx`.
pub(crate) fn moved(x: &[f64], dx: &[f64], h: f64) -> Vec<f64> {
    x.iter().zip(dx).map(|(x, dx)| x + h * dx).collect()
}

impl Case {
    /// Runs the kernel on the CPU and returns every buffer after the run; written buffers start poisoned with NaN.
    ///
    /// # Panics
    /// If the case is malformed: another number of inputs than bindings, or of another length.
    pub fn run_on_cpu(&self, cpu: &crate::Cpu) -> Vec<Vec<u32>> {
        let bindings = self.kernel.bindings();
        assert_eq!(bindings.len(), self.inputs.len(), "{self:?}: one input per binding");
        let mut buffers: Vec<Vec<u32>> = bindings
            .iter()
            .zip(&self.inputs)
            .map(|(binding, input)| match binding.access {
                crate::Access::Write => vec![POISON; binding.words],
                _ => {
                    assert_eq!(input.len(), binding.words, "{self:?}: length of {}", binding.name);
                    input.words().to_vec()
                }
            })
            .collect();
        let mut scratch = vec![POISON; self.kernel.cpu_scratch(cpu)];
        let arguments = bindings.iter().zip(&mut buffers).map(|(binding, buffer)| match binding.access {
            crate::Access::Read => crate::Arg::Read(buffer),
            _ => crate::Arg::Write(buffer),
        });
        crate::run(&*self.kernel, cpu, &self.clock, arguments, &mut scratch)
            .unwrap_or_else(|error| panic!("{self:?}: {error}"));
        buffers
    }

    /// Compares the buffers after a run with the f64 definition, by norm.
    ///
    /// # Errors
    /// A sentence that names the kernel, the buffer and how far off it is.
    pub fn compare(&self, buffers: &[Vec<u32>]) -> Result<(), String> {
        let expected = (self.expected)(&self.inputs);
        for (index, binding) in self.kernel.bindings().iter().enumerate() {
            let Some(expected) = &expected[index] else { continue };
            let got: Vec<f64> = match &self.inputs[index] {
                Values::F32(_) | Values::Random { .. } => {
                    bytemuck::cast_slice::<u32, f32>(&buffers[index]).iter().map(|&v| f64::from(v)).collect()
                }
                Values::U32(_) => buffers[index].iter().map(|&v| f64::from(v)).collect(),
            };
            if got.len() < expected.len() {
                return Err(format!(
                    "{self:?}: {} has {} words, {} expected",
                    binding.name,
                    got.len(),
                    expected.len()
                ));
            }
            let (mut difference, mut norm) = (0.0, 0.0);
            for (got, expected) in got.iter().zip(expected).filter(|(_, expected)| !expected.is_nan()) {
                difference += (got - expected).powi(2);
                norm += expected.powi(2);
            }
            let error = if difference == 0.0 { 0.0 } else { (difference / norm.max(1e-30)).sqrt() };
            // A NaN fails too: it is not within any tolerance.
            if error.is_nan() || error > self.tolerance {
                return Err(format!(
                    "{self:?}: {} is off by {error:.2e}, {:.0e} allowed",
                    binding.name, self.tolerance
                ));
            }
        }
        Ok(())
    }
}

/// What written buffers hold before a test run: a NaN, so that a word that is not written is noticed.
pub const POISON: u32 = 0x7fc0_0bad;

/// Checks cases on the CPU: every instruction set against the definition, and any number of threads bit for bit. Large
/// cases run with the best instruction set only.
///
/// # Panics
/// At the first case that fails.
pub fn check_on_cpu(cases: Vec<Case>) {
    for (rank, isa) in crate::simd::Isa::supported().into_iter().enumerate() {
        let (alone, three) = (
            crate::Cpu { isa, threads: crate::threads::Threads::new(1).unwrap() },
            crate::Cpu { isa, threads: crate::threads::Threads::new(3).unwrap() },
        );
        for case in cases.iter().filter(|case| rank == 0 || case.size == Size::Tiny) {
            let buffers = case.run_on_cpu(&alone);
            if let Err(message) = case.compare(&buffers) {
                panic!("{isa:?}: {message}");
            }
            assert_eq!(
                buffers,
                case.run_on_cpu(&three),
                "{isa:?}: {case:?} depends on the number of threads"
            );
        }
    }
}

/// Checks a gradient by central differences: the derivative of `loss`, which is given all buffers after a run, with respect
/// to one of the inputs.
///
/// # Panics
/// If they differ by more than what single precision explains.
#[cfg(test)]
pub(crate) fn check_gradient(
    case: &mut Case,
    input: usize,
    gradient: &[f32],
    loss: impl Fn(&[Vec<u32>]) -> f64,
) {
    const STEP: f32 = 1.0 / 128.0;
    let cpu = crate::Cpu::new(1).unwrap();
    let Values::F32(values) = case.inputs[input].clone() else {
        panic!("{case:?}: no floats to differentiate by")
    };
    let (mut difference, mut norm) = (0.0, 0.0);
    for (i, &gradient) in gradient.iter().enumerate() {
        let [above, below] = [STEP, -STEP].map(|step| {
            let mut moved = values.clone();
            moved[i] += step;
            case.inputs[input] = Values::F32(moved);
            loss(&case.run_on_cpu(&cpu))
        });
        let measured = (above - below) / (2.0 * f64::from(STEP));
        difference += (measured - f64::from(gradient)).powi(2);
        norm += measured.powi(2);
    }
    case.inputs[input] = Values::F32(values);
    assert!(norm > 0.0 && (difference / norm).sqrt() < 1e-2, "{case:?}: {difference:.2e} of {norm:.2e}");
}
