//! Layer normalisation on the CPU: rows as tasks, the width in vector lanes; a row stays in L1 over all passes.

use super::{LayerNormBackward, LayerNormForward};
use crate::dropout::Mask;
use crate::simd::{DRAWN, LANES, Simd, Vectorised};
use crate::threads::Parts;
use crate::{Args, Clock, Cpu};

/// Rows of a forward task.
const TASK_ROWS: usize = 32;
/// Elements whose factors of dropout are drawn together.
const BLOCK: usize = 256;

/// A row, or part of one, in vectors: `count` of them, the last one perhaps partial with zeros behind.
#[derive(Clone, Copy)]
struct Vectors {
    width: usize,
}

impl Vectors {
    #[inline(always)]
    fn count(self) -> usize {
        self.width.div_ceil(LANES)
    }
    #[inline(always)]
    fn load<S: Simd>(self, s: S, row: &[f32], index: usize) -> S::V {
        let from = &row[index * LANES..];
        match from.first_chunk() {
            Some(whole) => s.load(whole),
            None => s.load_partial(from),
        }
    }
    #[inline(always)]
    fn store<S: Simd>(self, s: S, row: &mut [f32], index: usize, v: S::V) {
        let to = &mut row[index * LANES..];
        if let Some(whole) = to.first_chunk_mut() {
            s.store(whole, v);
        } else {
            s.store_partial(to, v);
        }
    }
    /// Zeros behind the end of the row.
    #[inline(always)]
    fn inside<S: Simd>(self, s: S, v: S::V, index: usize) -> S::V {
        match self.width - index * LANES {
            n if n < LANES => s.load_partial(&s.lanes(v)[..n]),
            _ => v,
        }
    }
    /// Mean and `1 / sqrt(var + eps)` of a row.
    #[inline(always)]
    fn statistics<S: Simd>(self, s: S, row: &[f32], eps: f32) -> (f32, f32) {
        let mut sums = [s.splat(0.0); 2];
        for i in 0..self.count() {
            sums[i % 2] = s.add(sums[i % 2], self.load(s, row, i));
        }
        let mean = s.sum(s.add(sums[0], sums[1])) / self.width as f32;
        let mut squares = [s.splat(0.0); 2];
        for i in 0..self.count() {
            let distance = self.inside(s, s.sub(self.load(s, row, i), s.splat(mean)), i);
            squares[i % 2] = s.fma(distance, distance, squares[i % 2]);
        }
        let variance = s.sum(s.add(squares[0], squares[1])) / self.width as f32;
        (mean, 1.0 / (variance + eps).sqrt())
    }
}

/// The factors of dropout for a row, a block at a time.
#[derive(Clone, Copy)]
struct Factors<'a> {
    mask: Mask,
    clock: &'a Clock,
    width: usize,
}

impl Factors<'_> {
    /// Those of elements `start..start + length` of a row; start is a multiple of [`BLOCK`].
    #[inline(always)]
    fn draw<S: Simd>(&self, s: S, row: usize, start: usize, length: usize, factors: &mut [f32; BLOCK]) {
        let counter = (row * self.width.div_ceil(4) + start / 4) as u32;
        self.mask.factors(s, self.clock, counter, &mut factors[..length.next_multiple_of(DRAWN)]);
    }
}

/// `to = a * factors + b`, or what is dropped is b even if a is not finite.
#[inline(always)]
fn masked<S: Simd>(s: S, to: &mut [f32], a: &[f32], factors: &[f32], b: Option<&[f32]>) {
    let vectors = Vectors { width: to.len() };
    for i in 0..vectors.count() {
        let factor = s.load(factors[i * LANES..].first_chunk().expect("factors come in whole vectors"));
        let mut value = s.keep_positive(s.mul(vectors.load(s, a, i), factor), factor);
        if let Some(b) = b {
            value = s.add(value, vectors.load(s, b, i));
        }
        vectors.store(s, to, i, value);
    }
}

struct Forward<'a> {
    kernel: LayerNormForward,
    clock: &'a Clock,
    first_row: usize,
    /// x, or the residual.
    x: &'a [f32],
    branch: Option<&'a [f32]>,
    weight: &'a [f32],
    bias: &'a [f32],
    sum: Option<&'a mut [f32]>,
    y: &'a mut [f32],
}

impl Vectorised for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let LayerNormForward { width, eps, mask, .. } = self.kernel;
        let vectors = Vectors { width };
        for (index, y) in self.y.chunks_exact_mut(width).enumerate() {
            let at = index * width..(index + 1) * width;
            let mut x = &self.x[at.clone()];
            if let (Some(branch), Some(sum)) = (self.branch, &mut self.sum) {
                let (branch, sum) = (&branch[at.clone()], &mut sum[at]);
                match mask {
                    Some(mask) => {
                        let factors = Factors { mask, clock: self.clock, width };
                        let mut block = [0.0; BLOCK];
                        for start in (0..width).step_by(BLOCK) {
                            let end = (start + BLOCK).min(width);
                            factors.draw(s, self.first_row + index, start, end - start, &mut block);
                            masked(
                                s,
                                &mut sum[start..end],
                                &branch[start..end],
                                &block,
                                Some(&x[start..end]),
                            );
                        }
                    }
                    None => {
                        for i in 0..vectors.count() {
                            let total = s.add(vectors.load(s, x, i), vectors.load(s, branch, i));
                            vectors.store(s, sum, i, total);
                        }
                    }
                }
                x = sum;
            }
            let (mean, inverse) = vectors.statistics(s, x, eps);
            for i in 0..vectors.count() {
                let xhat = s.mul(s.sub(vectors.load(s, x, i), s.splat(mean)), s.splat(inverse));
                let value = s.fma(xhat, vectors.load(s, self.weight, i), vectors.load(s, self.bias, i));
                vectors.store(s, y, i, value);
            }
        }
    }
}

pub(super) fn forward(kernel: &LayerNormForward, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let (mut args, _) = args.each();
    let mut next = || args.next().expect("as many buffers as declared");
    let x = next().f32();
    let branch = kernel.branch.then(|| next().f32());
    let [weight, bias] = [next().f32(), next().f32()];
    let sum = kernel.branch.then(|| Parts::new(next().f32_mut()));
    let length = TASK_ROWS * kernel.width;
    cpu.threads.chunks_mut(next().f32_mut(), length, &|index, y| {
        let range = index * length..index * length + y.len();
        cpu.isa.run(Forward {
            kernel: *kernel,
            clock,
            first_row: index * TASK_ROWS,
            x: &x[range.clone()],
            branch: branch.map(|branch| &branch[range.clone()]),
            weight,
            bias,
            // SAFETY: every task has rows of its own.
            sum: sum.as_ref().map(|sum| unsafe { sum.part(range) }),
            y,
        });
    });
}

/// The rows of one chunk.
struct Backward<'a> {
    kernel: LayerNormBackward,
    clock: &'a Clock,
    first_row: usize,
    dy: &'a [f32],
    x: &'a [f32],
    weight: &'a [f32],
    dsum: Option<&'a [f32]>,
    dx: &'a mut [f32],
    dbranch: Option<&'a mut [f32]>,
    /// dweight and dbias of the chunk, `[2, width]`.
    partial: &'a mut [f32],
}

impl Vectorised for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let LayerNormBackward { width, eps, mask, .. } = self.kernel;
        let vectors = Vectors { width };
        let share = s.splat(1.0 / width as f32);
        let (dweight, dbias) = self.partial.split_at_mut(width);
        dweight.fill(0.0);
        dbias.fill(0.0);
        for (index, dx) in self.dx.chunks_exact_mut(width).enumerate() {
            let at = index * width..(index + 1) * width;
            let (dy, x) = (&self.dy[at.clone()], &self.x[at.clone()]);
            let (mean, inverse) = vectors.statistics(s, x, eps);
            let (mean, inverse) = (s.splat(mean), s.splat(inverse));
            let (mut sum_g, mut sum_gx) = ([s.splat(0.0); 2], [s.splat(0.0); 2]);
            for i in 0..vectors.count() {
                let xhat = s.mul(s.sub(vectors.load(s, x, i), mean), inverse);
                let dy = vectors.load(s, dy, i);
                let g = s.mul(dy, vectors.load(s, self.weight, i));
                sum_g[i % 2] = s.add(sum_g[i % 2], g);
                // Behind the end of the row g is zero.
                sum_gx[i % 2] = s.fma(g, xhat, sum_gx[i % 2]);
                vectors.store(s, dweight, i, s.fma(dy, xhat, vectors.load(s, dweight, i)));
                vectors.store(s, dbias, i, s.add(dy, vectors.load(s, dbias, i)));
            }
            let mean_g = s.mul(s.splat(s.sum(s.add(sum_g[0], sum_g[1]))), share);
            let mean_gx = s.mul(s.splat(s.sum(s.add(sum_gx[0], sum_gx[1]))), share);
            for i in 0..vectors.count() {
                let xhat = s.mul(s.sub(vectors.load(s, x, i), mean), inverse);
                let g = s.mul(vectors.load(s, dy, i), vectors.load(s, self.weight, i));
                let centred = s.sub(s.sub(g, mean_g), s.mul(xhat, mean_gx));
                let value = match self.dsum {
                    Some(dsum) => s.fma(centred, inverse, vectors.load(s, &dsum[at.clone()], i)),
                    None => s.mul(centred, inverse),
                };
                vectors.store(s, dx, i, value);
            }
            if let (Some(mask), Some(dbranch)) = (mask, &mut self.dbranch) {
                let factors = Factors { mask, clock: self.clock, width };
                let (dbranch, mut block) = (&mut dbranch[at], [0.0; BLOCK]);
                for start in (0..width).step_by(BLOCK) {
                    let end = (start + BLOCK).min(width);
                    factors.draw(s, self.first_row + index, start, end - start, &mut block);
                    masked(s, &mut dbranch[start..end], &dx[start..end], &block, None);
                }
            }
        }
    }
}

pub(super) fn backward(kernel: &LayerNormBackward, cpu: &Cpu, clock: &Clock, args: &mut Args) {
    let (mut args, partials) = args.each();
    let mut next = || args.next().expect("as many buffers as declared");
    let [dy, x, weight] = [next().f32(), next().f32(), next().f32()];
    let dsum = kernel.dsum.then(|| next().f32());
    let dx = next().f32_mut();
    let dbranch = kernel.mask.map(|_| next().f32_mut());
    let [dweight, dbias] = [next().f32_mut(), next().f32_mut()];
    let width = kernel.width;
    let chunk_rows = kernel.chunk_rows();
    let length = chunk_rows * width;
    let partials: &mut [f32] = bytemuck::cast_slice_mut(partials);
    let (parts, dbranch) = (Parts::new(partials), dbranch.map(Parts::new));
    cpu.threads.chunks_mut(dx, length, &|index, dx| {
        let range = index * length..index * length + dx.len();
        cpu.isa.run(Backward {
            kernel: *kernel,
            clock,
            first_row: index * chunk_rows,
            dy: &dy[range.clone()],
            x: &x[range.clone()],
            weight,
            dsum: dsum.map(|dsum| &dsum[range.clone()]),
            dx,
            // SAFETY: every chunk has rows of its own,
            dbranch: dbranch.as_ref().map(|dbranch| unsafe { dbranch.part(range) }),
            // SAFETY: and a partial sum of its own.
            partial: unsafe { parts.part(2 * index * width..2 * (index + 1) * width) },
        });
    });
    dweight.fill(0.0);
    dbias.fill(0.0);
    let of_group = partials.len() / kernel.groups;
    let groups = dweight.chunks_exact_mut(width).zip(dbias.chunks_exact_mut(width));
    for ((dweight, dbias), partials) in groups.zip(partials.chunks_exact(of_group)) {
        for partial in partials.chunks_exact(2 * width) {
            for (sum, value) in dweight.iter_mut().chain(dbias.iter_mut()).zip(partial) {
                *sum += value;
            }
        }
    }
}
