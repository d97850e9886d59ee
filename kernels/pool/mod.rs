//! Two-dimensional max and average pooling, channels last, and their gradients.
//!
//! x is `[N, H, W, C]`, y is `[N, OH, OW, C]`. With kernel K, stride s and padding p, `OH = (H + 2 p - K) / s + 1`,
//! rounded down, and likewise OW. The window of output i begins at input `s i - p`:
//!
//! ```text
//! max:      y[n, i, j, c]  = max_{u, v} x[n, s i + u - p, s j + v - p, c]        0 <= u, v < K, inside of the image
//!           argmax         = u K + v of the maximum, the first one of equals
//!           dx[n, a, b, c] = Σ_{i, j} dy[n, i, j, c]      over the windows whose maximum is (a, b)
//! tangent:  y'[n, i, j, c] = x' where the maximum of the window is, for x' a direction in which x moves
//! average:  y[n, i, j, c]  = Σ_{u, v} x[n, s i + u - p, s j + v - p, c] / K²
//!           dx[n, a, b, c] = Σ_{i, j} dy[n, i, j, c] / K²  over the windows that contain (a, b)
//! ```
//!
//! As in PyTorch, padding is -∞ for the maximum; for the average it is zero and counts in the divisor
//! (`count_include_pad`). A NaN is larger than everything, and the last NaN of a window is its maximum. Padding is at
//! most half of the kernel, so every window has an element inside of the image. Global average pooling is
//! `kernel = height = width`.
//!
//! argmax is `[N, OH, OW, ceil(C / 4)]` words of four channels each, the first in the lowest byte; bytes behind the last
//! channel are zero. The gradients gather: each element of dx sums over its windows in order, so windows may overlap.

mod cases;
mod cpu;
mod gpu;

pub use cases::cases;

use crate::Cpu;
use crate::kernel::{Args, Binding, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::size::{window_positions, words};
use std::ops::Range;

/// The largest kernel of max pooling: a position in the window has to fit a byte.
pub const MAX_POOL_KERNEL: usize = 15;

/// The geometry of a pooling, shared by both passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Images N.
    pub batch: usize,
    /// Rows of an input image, H.
    pub height: usize,
    /// Columns of an input image, W.
    pub width: usize,
    /// Channels C.
    pub channels: usize,
    /// Rows and columns of the window, K; at most [`MAX_POOL_KERNEL`] for the maximum.
    pub kernel: usize,
    /// Distance of neighbouring windows, s, at least 1.
    pub stride: usize,
    /// Padding around the image on every side, p, at most K / 2.
    pub padding: usize,
}

impl Pool2d {
    /// Rows of an output image, OH.
    pub fn out_height(&self) -> usize {
        window_positions(self.height, self.kernel, self.stride, self.padding)
    }
    /// Columns of an output image, OW.
    pub fn out_width(&self) -> usize {
        window_positions(self.width, self.kernel, self.stride, self.padding)
    }
    /// Elements of x.
    pub fn x_len(&self) -> usize {
        words([self.batch, self.height, self.width, self.channels])
    }
    /// Elements of y.
    pub fn y_len(&self) -> usize {
        words([self.batch, self.out_height(), self.out_width(), self.channels])
    }
    /// Words of argmax.
    pub fn argmax_words(&self) -> usize {
        words([self.batch, self.out_height(), self.out_width(), self.quads()])
    }
    /// Groups of four channels of a pixel, the last one perhaps not full.
    fn quads(&self) -> usize {
        self.channels.div_ceil(4)
    }
    /// The positions in the window of output `i` that lie inside of an image with `length` rows or columns.
    fn taps(&self, i: usize, length: usize) -> Range<usize> {
        let start = self.stride * i;
        self.padding.saturating_sub(start)..self.kernel.min(length + self.padding - start)
    }
    /// The outputs, of `out_length`, whose windows contain input `a`.
    fn outputs(&self, a: usize, out_length: usize) -> Range<usize> {
        let shifted = a + self.padding;
        let first = (shifted + 1).saturating_sub(self.kernel).div_ceil(self.stride);
        first..(shifted / self.stride + 1).min(out_length)
    }
    /// `1 / K²`.
    fn factor(&self) -> f32 {
        1.0 / (self.kernel * self.kernel) as f32
    }
    /// `64x32x32x16, 2x2 s2 p0`
    fn shape(&self) -> String {
        let Pool2d { batch, height, width, channels, kernel, stride, padding } = self;
        format!("{batch}x{height}x{width}x{channels}, {kernel}x{kernel} s{stride} p{padding}")
    }
    /// One operation per element of a window, and every buffer once; `argmax` says whether there is one.
    fn cost(&self, argmax: bool) -> Cost {
        let words = self.x_len() + self.y_len() + if argmax { self.argmax_words() } else { 0 };
        Cost { flops: (self.y_len() * self.kernel * self.kernel) as u64, bytes: 4 * words as u64 }
    }
}

/// The maximum of every window, and where it is.
#[derive(Clone, Copy, Debug)]
pub struct MaxPoolForward {
    /// Geometry.
    pub pool: Pool2d,
}

/// The gradient of x through [`MaxPoolForward`].
#[derive(Clone, Copy, Debug)]
pub struct MaxPoolBackward {
    /// Geometry.
    pub pool: Pool2d,
}

/// How the maxima of [`MaxPoolForward`] move when x moves along a direction.
#[derive(Clone, Copy, Debug)]
pub struct MaxPoolTangent {
    /// Geometry.
    pub pool: Pool2d,
}

/// The mean of every window.
#[derive(Clone, Copy, Debug)]
pub struct AveragePoolForward {
    /// Geometry.
    pub pool: Pool2d,
}

/// The gradient of x through [`AveragePoolForward`].
#[derive(Clone, Copy, Debug)]
pub struct AveragePoolBackward {
    /// Geometry.
    pub pool: Pool2d,
}

impl Kernel for MaxPoolForward {
    fn name(&self) -> &'static str {
        "pool/max_forward"
    }
    fn shape(&self) -> String {
        self.pool.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("x", self.pool.x_len()),
            Binding::write("y", self.pool.y_len()),
            Binding::write("argmax", self.pool.argmax_words()).integers(),
        ]
    }
    fn cost(&self) -> Cost {
        self.pool.cost(true)
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::max_forward(self.name(), &self.pool, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([x, y, argmax], _) = args.split();
        cpu::max_forward(&self.pool, cpu, x.f32(), y.f32_mut(), bytemuck::cast_slice_mut(argmax.u32_mut()));
    }
}

impl Kernel for MaxPoolBackward {
    fn name(&self) -> &'static str {
        "pool/max_backward"
    }
    fn shape(&self) -> String {
        self.pool.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("dy", self.pool.y_len()),
            Binding::read("argmax", self.pool.argmax_words()).integers(),
            Binding::write("dx", self.pool.x_len()),
        ]
    }
    fn cost(&self) -> Cost {
        self.pool.cost(true)
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::max_backward(self.name(), &self.pool, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([dy, argmax, dx], _) = args.split();
        cpu::max_backward(&self.pool, cpu, dy.f32(), argmax.u8(), dx.f32_mut());
    }
}

impl Kernel for MaxPoolTangent {
    fn name(&self) -> &'static str {
        "pool/max_tangent"
    }
    fn shape(&self) -> String {
        self.pool.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("x_tangent", self.pool.x_len()),
            Binding::read("argmax", self.pool.argmax_words()).integers(),
            Binding::write("y_tangent", self.pool.y_len()),
        ]
    }
    fn cost(&self) -> Cost {
        Cost { flops: 0, ..self.pool.cost(true) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::max_tangent(self.name(), &self.pool, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([x, argmax, y], _) = args.split();
        cpu::max_tangent(&self.pool, cpu, x.f32(), argmax.u8(), y.f32_mut());
    }
}

impl Kernel for AveragePoolForward {
    fn name(&self) -> &'static str {
        "pool/average_forward"
    }
    fn shape(&self) -> String {
        self.pool.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("x", self.pool.x_len()), Binding::write("y", self.pool.y_len())]
    }
    fn cost(&self) -> Cost {
        self.pool.cost(false)
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::average_forward(self.name(), &self.pool, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([x, y], _) = args.split();
        cpu::average_forward(&self.pool, cpu, x.f32(), y.f32_mut());
    }
}

impl Kernel for AveragePoolBackward {
    fn name(&self) -> &'static str {
        "pool/average_backward"
    }
    fn shape(&self) -> String {
        self.pool.shape()
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("dy", self.pool.y_len()), Binding::write("dx", self.pool.x_len())]
    }
    fn cost(&self) -> Cost {
        self.pool.cost(false)
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::average_backward(self.name(), &self.pool, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([dy, dx], _) = args.split();
        cpu::average_backward(&self.pool, cpu, dy.f32(), dx.f32_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(cases());
    }

    #[test]
    fn a_nan_is_the_maximum_and_the_first_of_equals_wins() {
        for isa in crate::simd::Isa::supported() {
            let cpu = Cpu { isa, threads: crate::threads::Threads::new(1).unwrap() };
            let pool =
                Pool2d { batch: 1, height: 2, width: 8, channels: 1, kernel: 2, stride: 2, padding: 0 };
            let low = f32::NEG_INFINITY;
            let x =
                [1.0, 1.0, f32::NAN, 5.0, low, low, 2.0, 3.0, 1.0, 1.0, 4.0, f32::NAN, low, low, 9.0, 1.0];
            let x = x.map(f32::to_bits);
            let (mut y, mut argmax) = ([0; 4], [0; 4]);
            let args = [crate::Arg::Read(&x), crate::Arg::Write(&mut y), crate::Arg::Write(&mut argmax)];
            crate::run(&MaxPoolForward { pool }, &cpu, &Clock::default(), args, &mut []).unwrap();
            let y = y.map(f32::from_bits);
            assert!(y[1].is_nan(), "{isa:?}: {y:?}");
            assert_eq!([y[0], y[2], y[3]], [1.0, low, 9.0]);
            assert_eq!(argmax, [0, 3, 0, 2], "{isa:?}");
        }
    }
}
