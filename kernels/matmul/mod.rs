//! Matrix multiplication, with an optional bias and ReLU: the linear layer and its two gradients.
//!
//! ```text
//! C[b] = activation(op(A[b]) op(B[b]) + bias)
//! op(A) is [M, K]: A is stored [batch, M, K], or [batch, K, M] when a_transposed
//! op(B) is [K, N]: B is stored [batch, K, N], or [batch, N, K] when b_transposed
//! bias is [N], shared by all rows and the whole batch; C is stored [batch, M, N]
//! ```
//!
//! All matrices are row-major f32. The linear layer of PyTorch, `y = x W^T + bias` with x `[N, in]` and W `[out, in]`,
//! and its gradients are:
//!
//! | pass | formula | layout |
//! |---|---|---|
//! | forward | `y[N, out] = x[N, in] W[out, in]^T + bias` | `nt` |
//! | backward_data | `dx[N, in] = dy[N, out] W[out, in]` | `nn` |
//! | backward_weight | `dW[out, in] = dy[N, out]^T x[N, in]` | `tn` |
//!
//! The letters are those of BLAS: `n` for a matrix stored as it is used, `t` for a transposed one, A first.
//!
//! Source of the CPU design: Van Zee and van de Geijn, *BLIS: A Framework for Rapidly Instantiating BLAS
//! Functionality*, ACM TOMS 2015.

pub(crate) mod block;
mod cases;
mod cpu;
mod gpu;
pub(crate) mod pack;
pub(crate) mod product;
pub(crate) mod tile;

pub use cases::cases;

use crate::Cpu;
use crate::kernel::{Args, Binding, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::size::words;

/// What happens to a sum before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(0, x)`; a NaN stays a NaN.
    Relu,
}

/// `C[b] = activation(op(A[b]) op(B[b]) + bias)`; see the [module](self) for the layouts.
///
/// Buffers: `a` (read), `b` (read), `bias` (read, only if [`Matmul::bias`]), `c` (written). Every size is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matmul {
    /// Number of independent products.
    pub batch: usize,
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// A is stored `[K, M]`.
    pub a_transposed: bool,
    /// B is stored `[N, K]`.
    pub b_transposed: bool,
    /// Add a bias `[N]` to every row.
    pub bias: bool,
    /// Applied last.
    pub activation: Activation,
}

impl Kernel for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn shape(&self) -> String {
        let Self { batch, m, n, k, .. } = self;
        let letter = |transposed| if transposed { 't' } else { 'n' };
        let mut text = if *batch > 1 { format!("{batch}x") } else { String::new() };
        text += &format!("{m}x{n}x{k} {}{}", letter(self.a_transposed), letter(self.b_transposed));
        if self.bias {
            text += " +bias";
        }
        if self.activation == Activation::Relu {
            text += " +relu";
        }
        text
    }

    fn bindings(&self) -> Vec<Binding> {
        let Self { batch, m, n, k, .. } = *self;
        let mut bindings =
            vec![Binding::read("a", words([batch, m, k])), Binding::read("b", words([batch, k, n]))];
        if self.bias {
            bindings.push(Binding::read("bias", n));
        }
        bindings.push(Binding::write("c", words([batch, m, n])));
        bindings
    }

    fn cost(&self) -> Cost {
        let words: usize = self.bindings().iter().map(|binding| binding.words).sum();
        let outputs = (self.batch * self.m * self.n) as u64;
        let epilogue = u64::from(self.bias) + u64::from(self.activation == Activation::Relu);
        Cost { flops: outputs * (2 * self.k as u64 + epilogue), bytes: 4 * words as u64 }
    }

    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::product(self).dispatches(gpu)
    }

    fn gpu_scratch(&self, gpu: &GpuTraits) -> usize {
        gpu::product(self).scratch(gpu)
    }

    fn cpu_scratch(&self, cpu: &Cpu) -> usize {
        cpu::scratch(self, cpu)
    }

    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        if self.bias {
            let ([a, b, bias, c], scratch) = args.split();
            cpu::run(
                self,
                cpu,
                a.f32(),
                b.f32(),
                Some(bias.f32()),
                c.f32_mut(),
                bytemuck::cast_slice_mut(scratch),
            );
        } else {
            let ([a, b, c], scratch) = args.split();
            cpu::run(self, cpu, a.f32(), b.f32(), None, c.f32_mut(), bytemuck::cast_slice_mut(scratch));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_cpu_computes_every_case() {
        crate::case::check_on_cpu(super::cases());
    }
}
