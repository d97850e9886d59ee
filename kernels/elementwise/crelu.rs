//! CReLU: both signs of every channel, rectified (Shang et al., *Understanding and Improving Convolutional Neural
//! Networks via Concatenated Rectified Linear Units*, ICML 2016).
//!
//! ```text
//! y[n, c]  = max(x[n, c], 0)        y[n, C + c] = max(-x[n, c], 0)
//! dx[n, c] = dy[n, c] where x > 0, -dy[n, C + c] where x < 0, else 0
//! y'[n, c] = x'[n, c] where x > 0, else 0        y'[n, C + c] = -x'[n, c] where x < 0, else 0        (tangents)
//! ```
//!
//! A NaN stays a NaN in both halves. The gradient at x = 0 is 0.

use super::{GRID, WORKGROUP, cpu};
use crate::size::words;
use crate::template::expand;
use crate::windows::in_windows;
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// `y = concat(max(x, 0), max(-x, 0))` along the channels: x is `[rows, C]`, y is `[rows, 2 C]`.
#[derive(Clone, Copy, Debug)]
pub struct Crelu {
    /// Rows: of a matrix, or pixels of all images.
    pub rows: usize,
    /// Channels C of x; y has twice as many.
    pub channels: usize,
}

/// The gradient of x through [`Crelu`], from x `[rows, C]` and dy `[rows, 2 C]`.
#[derive(Clone, Copy, Debug)]
pub struct CreluBackward {
    /// Rows: of a matrix, or pixels of all images.
    pub rows: usize,
    /// Channels C of x.
    pub channels: usize,
}

/// How y of [`Crelu`] moves, from x and its tangent, `[rows, C]` both.
#[derive(Clone, Copy, Debug)]
pub struct CreluTangent {
    /// Rows: of a matrix, or pixels of all images.
    pub rows: usize,
    /// Channels C of x.
    pub channels: usize,
}

/// The launches of a pass; `buffers` has the number of channels of each, the last is written.
fn launches(
    label: &'static str,
    source: &str,
    rows: usize,
    channels: usize,
    buffers: &[usize],
    gpu: &GpuTraits,
) -> Vec<Dispatch> {
    let vectors = channels.is_multiple_of(4);
    let (element, lanes) = if vectors { ("vec4<f32>", 4) } else { ("f32", 1) };
    let source = expand(source, &[("ELEMENT", &element)]);
    let buffers: Vec<_> = buffers.iter().copied().enumerate().collect();
    in_windows(rows, &buffers, gpu, |rows| {
        let len = rows.len() * channels / lanes;
        let access = |i| if i + 1 == buffers.len() { Access::ReadWrite } else { Access::Read };
        vec![Dispatch {
            label: label.into(),
            source: source.clone().into(),
            constants: Vec::new(),
            bindings: (0..buffers.len()).map(|i| (i, access(i))).collect(),
            immediates: vec![len as u32, (channels / lanes) as u32],
            clock: false,
            grid: [len.div_ceil(WORKGROUP).min(GRID) as u32, 1, 1],
            windows: Vec::new(),
        }]
    })
}

impl Kernel for Crelu {
    fn name(&self) -> &'static str {
        "elementwise/crelu"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.channels)
    }
    fn bindings(&self) -> Vec<Binding> {
        let len = words([self.rows, self.channels]);
        vec![Binding::read("x", len), Binding::write("y", words([2, len]))]
    }
    fn cost(&self) -> Cost {
        let len = (self.rows * self.channels) as u64;
        Cost { flops: 2 * len, bytes: 12 * len }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let buffers = [self.channels, 2 * self.channels];
        launches(self.name(), include_str!("crelu.wgsl"), self.rows, self.channels, &buffers, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::crelu(cpu, self.channels, args);
    }
}

impl Kernel for CreluBackward {
    fn name(&self) -> &'static str {
        "elementwise/crelu_backward"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.channels)
    }
    fn bindings(&self) -> Vec<Binding> {
        let len = words([self.rows, self.channels]);
        vec![Binding::read("x", len), Binding::read("dy", words([2, len])), Binding::write("dx", len)]
    }
    fn cost(&self) -> Cost {
        let len = (self.rows * self.channels) as u64;
        Cost { flops: 2 * len, bytes: 16 * len }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let buffers = [self.channels, 2 * self.channels, self.channels];
        launches(self.name(), include_str!("crelu_backward.wgsl"), self.rows, self.channels, &buffers, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::crelu_backward(cpu, self.channels, args);
    }
}

impl Kernel for CreluTangent {
    fn name(&self) -> &'static str {
        "elementwise/crelu_tangent"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.channels)
    }
    fn bindings(&self) -> Vec<Binding> {
        let len = words([self.rows, self.channels]);
        vec![
            Binding::read("x", len),
            Binding::read("x_tangent", len),
            Binding::write("y_tangent", words([2, len])),
        ]
    }
    fn cost(&self) -> Cost {
        let len = (self.rows * self.channels) as u64;
        Cost { flops: 2 * len, bytes: 16 * len }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let buffers = [self.channels, self.channels, 2 * self.channels];
        launches(self.name(), include_str!("crelu_tangent.wgsl"), self.rows, self.channels, &buffers, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::crelu_tangent(cpu, self.channels, args);
    }
}
