//! Sequences of tokens: an image cut into patches, positions added to them with a class token or without, one token taken
//! out.
//!
//! ```text
//! patches:  y[n, i w + j, (u P + v) C + c] = x[n, i P + u, j P + v, c]     with w = W / P patches in a row
//! embed:    y[n, 0] = cls + positions[0]        y[n, 1 + t] = x[n, t] + positions[1 + t]
//!           dx[n, t] = dy[n, 1 + t]    dcls = Σ_n dy[n, 0]    dpositions[t] = Σ_n dy[n, t]
//! positions: y[n, t] = x[n, t] + positions[t]
//! select:   y[n] = x[n, 0]                      dx[n, 0] = dy[n], dx[n, t] = 0 for the others
//! ```
//!
//! The gradient of positions is the column sum of dy over the sequences ([`crate::reduce::ColumnSum`]), that of x is dy.
//! Patches (Dosovitskiy et al., 2021) are cut from images, which need no gradient.

use crate::size::words;
use crate::{Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

mod cases;
mod cpu;
mod gpu;

pub use cases::cases;

/// Images `[N, H, W, C]` as patches `[N, H/P W/P, P P C]`: row, column, channel within a patch. Buffers: `x`, `y`.
#[derive(Clone, Copy, Debug)]
pub struct Patches {
    /// Images N.
    pub batch: usize,
    /// Rows of an image, H: a multiple of P.
    pub height: usize,
    /// Columns of an image, W: a multiple of P.
    pub width: usize,
    /// Channels C.
    pub channels: usize,
    /// Rows and columns of a patch, P.
    pub patch: usize,
}

/// Tokens `[N, T, D]` behind a class token, with positions: `[N, T + 1, D]`. Buffers: `x, cls, positions, y`.
#[derive(Clone, Copy, Debug)]
pub struct Embed {
    /// Sequences N.
    pub batch: usize,
    /// Tokens of a sequence, T, without the class token.
    pub tokens: usize,
    /// Length of a token, D.
    pub width: usize,
}

/// The gradients of [`Embed`]. Buffers: `dy, dx, dcls` `[groups, D]`, `dpositions` `[groups, T + 1, D]`.
#[derive(Clone, Copy, Debug)]
pub struct EmbedBackward {
    /// What was computed.
    pub embed: Embed,
    /// Groups of equally many neighbouring sequences, each with sums of its own: 1, or one for each sequence.
    pub groups: usize,
}

/// Tokens `[N, T, D]` with positions `[T, D]`: `[N, T, D]`. Buffers: `x, positions, y`.
#[derive(Clone, Copy, Debug)]
pub struct Positions {
    /// Sequences N.
    pub batch: usize,
    /// Words of a sequence, T D.
    pub sequence: usize,
}

/// The first token of every sequence: `[N, T, D]` to `[N, D]`. Buffers: `x, y`.
#[derive(Clone, Copy, Debug)]
pub struct Select {
    /// Sequences N.
    pub batch: usize,
    /// Tokens of a sequence, T.
    pub tokens: usize,
    /// Length of a token, D.
    pub width: usize,
}

/// The gradient of [`Select`]. Buffers: `dy, dx`.
#[derive(Clone, Copy, Debug)]
pub struct SelectBackward(pub Select);

impl Patches {
    fn len(&self) -> usize {
        words([self.batch, self.height, self.width, self.channels])
    }
}

impl Embed {
    /// Words of x and of y.
    fn words(&self) -> [usize; 2] {
        [self.tokens, self.tokens.saturating_add(1)].map(|tokens| words([self.batch, tokens, self.width]))
    }
    fn shape(&self) -> String {
        format!("{}x{}x{}", self.batch, self.tokens, self.width)
    }
}

impl Select {
    /// Words of x and of y.
    fn words(&self) -> [usize; 2] {
        [words([self.batch, self.tokens, self.width]), words([self.batch, self.width])]
    }
    fn shape(&self) -> String {
        format!("{}x{}x{}", self.batch, self.tokens, self.width)
    }
}

/// No arithmetic, only so many words.
fn moves(words: usize) -> Cost {
    Cost { flops: 0, bytes: 4 * words as u64 }
}

impl Kernel for Patches {
    fn name(&self) -> &'static str {
        "tokens/patches"
    }
    fn shape(&self) -> String {
        let Self { batch, height, width, channels, patch } = self;
        format!("{batch}x{height}x{width}x{channels} {patch}x{patch}")
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", self.len()), Binding::write("y", self.len())]
    }
    fn cost(&self) -> Cost {
        moves(2 * self.len())
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::patches(self, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::patches(self, cpu, args);
    }
}

impl Kernel for Embed {
    fn name(&self) -> &'static str {
        "tokens/embed"
    }
    fn shape(&self) -> String {
        self.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        let [x, y] = self.words();
        vec![
            Binding::read("x", x),
            Binding::read("cls", self.width),
            Binding::read("positions", words([self.tokens.saturating_add(1), self.width])),
            Binding::write("y", y),
        ]
    }
    fn cost(&self) -> Cost {
        let [x, y] = self.words();
        Cost { flops: y as u64, ..moves(x + y + (self.tokens + 2) * self.width) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::embed(self, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::embed(self, cpu, args);
    }
}

impl Kernel for EmbedBackward {
    fn name(&self) -> &'static str {
        "tokens/embed_backward"
    }
    fn shape(&self) -> String {
        let groups = if self.groups > 1 { format!(" in {} groups", self.groups) } else { String::new() };
        self.embed.shape() + &groups
    }
    fn bindings(&self) -> Vec<Binding> {
        let Self { embed, groups } = self;
        let [x, y] = embed.words();
        vec![
            Binding::read("dy", y),
            Binding::write("dx", x),
            Binding::write("dcls", words([*groups, embed.width])),
            Binding::write("dpositions", words([*groups, embed.tokens.saturating_add(1), embed.width])),
        ]
    }
    fn cost(&self) -> Cost {
        let Self { embed, groups } = self;
        let [x, y] = embed.words();
        Cost { flops: y as u64, ..moves(x + 2 * y + groups * (embed.tokens + 2) * embed.width) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::embed_backward(self, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::embed_backward(self, cpu, args);
    }
}

impl Kernel for Positions {
    fn name(&self) -> &'static str {
        "tokens/positions"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.batch, self.sequence)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.batch, self.sequence]);
        vec![Binding::read("x", all), Binding::read("positions", self.sequence), Binding::write("y", all)]
    }
    fn cost(&self) -> Cost {
        let all = self.batch * self.sequence;
        Cost { flops: all as u64, ..moves(2 * all + self.sequence) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::positions(self, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([x, positions, y], _) = args.split();
        let (x, positions, sequence) = (x.f32(), positions.f32(), self.sequence);
        cpu.threads.chunks_mut(y.f32_mut(), sequence, &|n, y| {
            let x = &x[n * sequence..(n + 1) * sequence];
            for ((y, x), position) in y.iter_mut().zip(x).zip(positions) {
                *y = x + position;
            }
        });
    }
}

impl Kernel for Select {
    fn name(&self) -> &'static str {
        "tokens/select"
    }
    fn shape(&self) -> String {
        self.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        let [x, y] = self.words();
        vec![Binding::read("x", x), Binding::write("y", y)]
    }
    fn cost(&self) -> Cost {
        moves(2 * self.words()[1])
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::select(self, gpu)
    }
    unsafe fn run(&self, _cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([x, y], _) = args.split();
        let sequences = x.f32().chunks_exact(self.tokens * self.width);
        for (y, x) in y.f32_mut().chunks_exact_mut(self.width).zip(sequences) {
            y.copy_from_slice(&x[..self.width]);
        }
    }
}

impl Kernel for SelectBackward {
    fn name(&self) -> &'static str {
        "tokens/select_backward"
    }
    fn shape(&self) -> String {
        self.0.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        let [x, y] = self.0.words();
        vec![Binding::read("dy", y), Binding::write("dx", x)]
    }
    fn cost(&self) -> Cost {
        let [x, y] = self.0.words();
        moves(x + y)
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::select_backward(&self.0, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([dy, dx], _) = args.split();
        let Select { tokens, width, .. } = self.0;
        let dy = dy.f32();
        cpu.threads.chunks_mut(dx.f32_mut(), tokens * width, &|n, dx| {
            let (first, others) = dx.split_at_mut(width);
            first.copy_from_slice(&dy[n * width..(n + 1) * width]);
            others.fill(0.0);
        });
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
