//! Pooling on the CPU: tasks of whole rows of the written image, and in them one pixel of all channels at a time.
//!
//! The loops over channels are plain Rust: the compiler vectorises them for each instruction set, comparisons with
//! bytes included.

use super::Pool2d;
use crate::Cpu;
use crate::simd::{Simd, Vectorised};
use crate::threads::Parts;

/// Elements that a task reads or writes: fewer are not worth waking another thread.
const TASK: usize = 65_536;

/// The image and row that a number `image * height + row` means.
#[derive(Clone, Copy)]
struct Row {
    image: usize,
    row: usize,
}

/// Runs `work(position, row of out)` for every row of `height` rows per image, in tasks of about [`TASK`] of the elements
/// that rows read or write, `elements` each.
fn in_rows(
    cpu: &Cpu,
    out: &mut [f32],
    (height, row): (usize, usize),
    elements: usize,
    work: &(dyn Fn(Row, &mut [f32]) + Sync),
) {
    let rows_per_task = (TASK / elements.max(1)).max(1);
    cpu.threads.chunks_mut(out, rows_per_task * row, &|task, rows| {
        for (index, out) in rows.chunks_exact_mut(row).enumerate() {
            let number = task * rows_per_task + index;
            work(Row { image: number / height, row: number % height }, out);
        }
    });
}

/// One row of y and argmax.
struct MaxForward<'a> {
    pool: &'a Pool2d,
    at: Row,
    x: &'a [f32],
    y: &'a mut [f32],
    argmax: &'a mut [u8],
}

impl Vectorised for MaxForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Pool2d { height, width, channels, kernel, stride, padding, .. } = *self.pool;
        let pixels =
            self.y.chunks_exact_mut(channels).zip(self.argmax.chunks_exact_mut(4 * self.pool.quads()));
        for (j, (y, argmax)) in pixels.enumerate() {
            let (argmax, rest) = argmax.split_at_mut(channels);
            rest.fill(0);
            let mut first = true;
            for u in self.pool.taps(self.at.row, height) {
                let a = stride * self.at.row + u - padding;
                for v in self.pool.taps(j, width) {
                    let b = stride * j + v - padding;
                    let x = &self.x[((self.at.image * height + a) * width + b) * channels..][..channels];
                    let tap = (u * kernel + v) as u8;
                    if std::mem::take(&mut first) {
                        y.copy_from_slice(x);
                        argmax.fill(tap);
                        continue;
                    }
                    for ((y, argmax), &x) in y.iter_mut().zip(argmax.iter_mut()).zip(x) {
                        let larger = (x > *y) | x.is_nan();
                        *y = if larger { x } else { *y };
                        *argmax = if larger { tap } else { *argmax };
                    }
                }
            }
        }
    }
}

/// Fills y and argmax.
pub(super) fn max_forward(pool: &Pool2d, cpu: &Cpu, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    let (height, width) = (pool.out_height(), pool.out_width());
    let (y_row, argmax_row) = (width * pool.channels, width * 4 * pool.quads());
    let argmax = Parts::new(argmax);
    in_rows(cpu, y, (height, y_row), pool.stride * pool.width * pool.channels, &|at, y| {
        let start = (at.image * height + at.row) * argmax_row;
        // SAFETY: every row is worked on once, and rows do not overlap.
        let argmax = unsafe { argmax.part(start..start + argmax_row) };
        cpu.isa.run(MaxForward { pool, at, x, y, argmax });
    });
}

/// One row of dx.
struct MaxBackward<'a> {
    pool: &'a Pool2d,
    at: Row,
    dy: &'a [f32],
    argmax: &'a [u8],
    dx: &'a mut [f32],
}

impl Vectorised for MaxBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Pool2d { channels, kernel, stride, padding, .. } = *self.pool;
        let (height, width, bytes) = (self.pool.out_height(), self.pool.out_width(), 4 * self.pool.quads());
        for (b, dx) in self.dx.chunks_exact_mut(channels).enumerate() {
            dx.fill(0.0);
            for i in self.pool.outputs(self.at.row, height) {
                let u = self.at.row + padding - stride * i;
                for j in self.pool.outputs(b, width) {
                    let tap = (u * kernel + b + padding - stride * j) as u8;
                    let pixel = (self.at.image * height + i) * width + j;
                    let dy = &self.dy[pixel * channels..][..channels];
                    let argmax = &self.argmax[pixel * bytes..][..channels];
                    for ((dx, &dy), &argmax) in dx.iter_mut().zip(dy).zip(argmax) {
                        *dx += if argmax == tap { dy } else { 0.0 };
                    }
                }
            }
        }
    }
}

/// Fills dx.
pub(super) fn max_backward(pool: &Pool2d, cpu: &Cpu, dy: &[f32], argmax: &[u8], dx: &mut [f32]) {
    let dx_row = pool.width * pool.channels;
    in_rows(cpu, dx, (pool.height, dx_row), dx_row, &|at, dx| {
        cpu.isa.run(MaxBackward { pool, at, dy, argmax, dx });
    });
}

/// Fills y, the elements of x at the positions of argmax.
pub(super) fn max_tangent(pool: &Pool2d, cpu: &Cpu, x: &[f32], argmax: &[u8], y: &mut [f32]) {
    let Pool2d { height, width, channels, kernel, stride, padding, .. } = *pool;
    let (out_height, out_width, bytes) = (pool.out_height(), pool.out_width(), 4 * pool.quads());
    in_rows(cpu, y, (out_height, out_width * channels), out_width * channels, &|at, y| {
        for (j, y) in y.chunks_exact_mut(channels).enumerate() {
            let pixel = (at.image * out_height + at.row) * out_width + j;
            let taps = &argmax[pixel * bytes..][..channels];
            for (c, (y, &tap)) in y.iter_mut().zip(taps).enumerate() {
                let (u, v) = (usize::from(tap) / kernel, usize::from(tap) % kernel);
                let (a, b) = (stride * at.row + u - padding, stride * j + v - padding);
                *y = x[((at.image * height + a) * width + b) * channels + c];
            }
        }
    });
}

/// One row of y.
struct AverageForward<'a> {
    pool: &'a Pool2d,
    at: Row,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Vectorised for AverageForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Pool2d { height, width, channels, stride, padding, .. } = *self.pool;
        for (j, y) in self.y.chunks_exact_mut(channels).enumerate() {
            y.fill(0.0);
            for u in self.pool.taps(self.at.row, height) {
                let a = stride * self.at.row + u - padding;
                for v in self.pool.taps(j, width) {
                    let b = stride * j + v - padding;
                    let x = &self.x[((self.at.image * height + a) * width + b) * channels..][..channels];
                    y.iter_mut().zip(x).for_each(|(y, &x)| *y += x);
                }
            }
            let factor = self.pool.factor();
            y.iter_mut().for_each(|y| *y *= factor);
        }
    }
}

/// Fills y.
pub(super) fn average_forward(pool: &Pool2d, cpu: &Cpu, x: &[f32], y: &mut [f32]) {
    let rows = (pool.out_height(), pool.out_width() * pool.channels);
    in_rows(cpu, y, rows, pool.stride * pool.width * pool.channels, &|at, y| {
        cpu.isa.run(AverageForward { pool, at, x, y });
    });
}

/// One row of dx.
struct AverageBackward<'a> {
    pool: &'a Pool2d,
    at: Row,
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Vectorised for AverageBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let channels = self.pool.channels;
        let (height, width) = (self.pool.out_height(), self.pool.out_width());
        for (b, dx) in self.dx.chunks_exact_mut(channels).enumerate() {
            dx.fill(0.0);
            for i in self.pool.outputs(self.at.row, height) {
                for j in self.pool.outputs(b, width) {
                    let pixel = (self.at.image * height + i) * width + j;
                    let dy = &self.dy[pixel * channels..][..channels];
                    dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
                }
            }
            let factor = self.pool.factor();
            dx.iter_mut().for_each(|dx| *dx *= factor);
        }
    }
}

/// Fills dx.
pub(super) fn average_backward(pool: &Pool2d, cpu: &Cpu, dy: &[f32], dx: &mut [f32]) {
    let dx_row = pool.width * pool.channels;
    in_rows(cpu, dx, (pool.height, dx_row), dx_row, &|at, dx| {
        cpu.isa.run(AverageBackward { pool, at, dy, dx });
    });
}
