//! Kernel families: each folder holds one family, as WGSL and as Rust, with its formulas, its launch geometry
//! and one list of cases that tests and benches both read.
//!
//! Architecture invariants:
//! - This crate knows no tensor, no graph and no device object. It can be read and tested alone.
//! - A kernel is plain data (shapes and options) that implements [`Kernel`]: what its buffers are, what it costs,
//!   how the GPU launches it, and the same maths on the CPU. The two implementations are each other's oracle.
//! - Every buffer is an array of 32-bit words. A kernel writes only the buffers it declares as written.
//! - Results depend on shapes and inputs only: no float atomics, no dependence on the number of threads.
#![warn(missing_docs)]

pub mod arena;
pub mod attention;
pub mod batch_norm;
pub mod case;
pub mod categorical;
pub mod conv2d;
pub mod cpu;
pub mod dropout;
pub mod elementwise;
mod error;
pub mod gather;
pub mod gelu;
pub mod kernel;
pub mod layer_norm;
pub mod loss;
mod math;
pub mod matmul;
pub mod per_example;
pub mod pool;
pub mod random;
pub mod reduce;
pub mod replay;
mod rows;
mod run;
pub mod simd;
mod size;
pub mod softmax;
pub mod spectral_norm;
pub mod template;
pub mod threads;
pub mod tokens;
pub mod units;
pub mod value;
pub mod windows;

pub use case::{Case, Size, Values};
pub use cpu::Cpu;
pub use error::CpuError;
pub use kernel::{Access, Arg, Args, Binding, Clock, Cost, Dispatch, GpuTraits, Kernel};
pub use run::{ArgsError, run};

/// The cases of every family: the one list that tests and benches read.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(matmul::cases());
    cases.extend(conv2d::cases());
    cases.extend(batch_norm::cases());
    cases.extend(elementwise::cases());
    cases.extend(dropout::cases());
    cases.extend(gelu::cases());
    cases.extend(layer_norm::cases());
    cases.extend(softmax::cases());
    cases.extend(spectral_norm::cases());
    cases.extend(attention::cases());
    cases.extend(tokens::cases());
    cases.extend(loss::cases());
    cases.extend(value::cases());
    cases.extend(categorical::cases());
    cases.extend(reduce::cases());
    cases.extend(per_example::cases());
    cases.extend(units::cases());
    cases.extend(arena::cases());
    cases.extend(pool::cases());
    cases.extend(gather::cases());
    cases.extend(replay::cases());
    cases
}
