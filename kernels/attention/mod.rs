//! Multi-head self-attention (Vaswani et al., 2017), fused: the T x T weights of a head never reach memory.
//!
//! One linear layer makes queries, keys and values of all heads: qkv is `[N, T, 3, H, d]`, the result O is `[N, T, H, d]`,
//! both read and written where they lie. For each head of each element of the batch, with Q, K, V, O of `[T, d]`:
//!
//! ```text
//! S = Q Kᵀ / sqrt(d)        P = softmax(S), row by row        O = (M ∘ P) V
//! L_i = log Σ_j exp(S_ij)   so that P_ij = exp(S_ij - L_i)
//! ```
//!
//! M is the mask of the dropout of the attention weights, `1 / (1 - rate)` where kept, else 0 ([`Mask`]); without dropout it
//! is 1. The weight of query i and key j in head h of element n is lane `j % 4` of counter
//! `((n H + h) T + i) ceil(T / 4) + j / 4`.
//!
//! The forward pass keeps L, `[N, H, T]`, and nothing else. The backward pass computes S and P again and draws M again
//! (`docs/attention.md` derives it):
//!
//! ```text
//! dV = (M ∘ P)ᵀ dO          dP = M ∘ (dO Vᵀ)          D_i = Σ_c dO_ic O_ic  ( = Σ_j P_ij dP_ij )
//! dS = P ∘ (dP - D)         dQ = dS K / sqrt(d)       dK = dSᵀ Q / sqrt(d)
//! ```
//!
//! What is not fused, such as second derivatives, works on the heads one by one: [`SplitHeads`] and [`MergeHeads`].
//!
//! Source: Dao et al., *FlashAttention*, NeurIPS 2022, and Dao, *FlashAttention-2*, ICLR 2024, for L and D. No atomics:
//! whoever computes a row of dQ, dK or dV computes all of it, in one order.

use crate::dropout::Mask;
use crate::size::words;
use crate::{Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

mod cases;
mod cpu;
mod gpu;
mod heads;

pub use cases::cases;
pub use heads::{MergeHeads, SplitHeads};

/// The sizes of an attention layer, shared by both passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Elements of the batch, N.
    pub batch: usize,
    /// Tokens of a sequence, T.
    pub tokens: usize,
    /// Heads, H.
    pub heads: usize,
    /// Length of queries, keys and values, d.
    pub head_size: usize,
    /// Dropout of the attention weights; `None` without.
    pub mask: Option<Mask>,
}

impl Attention {
    /// The longest head that the shaders take.
    pub const LONGEST_HEAD: usize = gpu::LONGEST_HEAD;

    /// Elements of O.
    pub fn len(&self) -> usize {
        words([self.batch, self.tokens, self.width()])
    }
    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Elements of L.
    pub fn lse_len(&self) -> usize {
        words([self.batch, self.heads, self.tokens])
    }
    /// Elements of a token, H d.
    fn width(&self) -> usize {
        words([self.heads, self.head_size])
    }
    /// `1 / sqrt(d)`.
    pub fn scale(&self) -> f32 {
        (1.0 / (self.head_size as f64).sqrt()) as f32
    }
    /// Counters of dropout in a row of P.
    fn counters(&self) -> usize {
        self.tokens.div_ceil(4)
    }
    /// The lengths that the CPU kernels rely on when they take pointers.
    fn check(&self, qkv: &[f32], outputs: &[&[f32]], lse: &[f32]) {
        assert!(self.tokens > 0 && self.heads > 0 && self.head_size > 0, "{self:?}");
        assert!(qkv.len() == 3 * self.len() && lse.len() == self.lse_len(), "{self:?}");
        assert!(outputs.iter().all(|output| output.len() == self.len()), "{self:?}");
    }
    /// `64x65x3x64 dropout 0.1`
    fn shape(&self) -> String {
        let Self { batch, tokens, heads, head_size, mask } = self;
        let dropout = mask.map_or(String::new(), |mask| format!(" dropout {}", mask.rate));
        format!("{batch}x{tokens}x{heads}x{head_size}{dropout}")
    }
    /// `products` matrix products over T x T x d, and about ten operations for each weight.
    fn cost(&self, products: usize, words: usize) -> Cost {
        let weights = self.batch * self.heads * self.tokens * self.tokens;
        Cost { flops: (weights * (2 * products * self.head_size + 10)) as u64, bytes: 4 * words as u64 }
    }
}

/// O and L of [`Attention`]. Buffers: `qkv` (read), `o`, `lse` (written).
#[derive(Clone, Copy, Debug)]
pub struct AttentionForward(pub Attention);

/// The gradient of qkv. Buffers: `qkv`, `o`, `do`, `lse` (read), `dqkv` (written).
#[derive(Clone, Copy, Debug)]
pub struct AttentionBackward(pub Attention);

impl Kernel for AttentionForward {
    fn name(&self) -> &'static str {
        "attention/forward"
    }
    fn shape(&self) -> String {
        self.0.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        let len = self.0.len();
        vec![
            Binding::read("qkv", words([3, len])),
            Binding::write("o", len),
            Binding::write("lse", self.0.lse_len()),
        ]
    }
    fn cost(&self) -> Cost {
        self.0.cost(2, 4 * self.0.len() + self.0.lse_len())
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::forward(&self.0, gpu)
    }
    fn cpu_scratch(&self, cpu: &Cpu) -> usize {
        cpu::forward_scratch(&self.0, cpu)
    }
    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        cpu::forward(&self.0, cpu, clock, args);
    }
}

impl Kernel for AttentionBackward {
    fn name(&self) -> &'static str {
        "attention/backward"
    }
    fn shape(&self) -> String {
        self.0.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        let len = self.0.len();
        vec![
            Binding::read("qkv", words([3, len])),
            Binding::read("o", len),
            Binding::read("do", len),
            Binding::read("lse", self.0.lse_len()),
            Binding::write("dqkv", words([3, len])),
        ]
    }
    fn cost(&self) -> Cost {
        self.0.cost(5, 8 * self.0.len() + self.0.lse_len())
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::backward(&self.0, gpu)
    }
    fn cpu_scratch(&self, cpu: &Cpu) -> usize {
        cpu::backward_scratch(&self.0, cpu)
    }
    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        cpu::backward(&self.0, cpu, clock, args);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
