//! Two-dimensional convolution (cross-correlation, as in every deep-learning library), channels last, and its gradients.
//!
//! x is `[N, H, W, C]`, y is `[N, OH, OW, O]`, the weight is `[K, K, C, O]` (PyTorch's files hold `[O, C, K, K]`), the
//! bias is `[O]`. With stride s and zero padding p, `OH = (H + 2 p - K) / s + 1`, rounded down, and likewise OW:
//!
//! ```text
//! y[n, i, j, o]   = bias[o] + Σ_{u, v, c} x[n, s i + u - p, s j + v - p, c] weight[u, v, c, o]
//! dx[n, a, b, c]  = Σ_{u, v, o} dy[n, i, j, o] weight[u, v, c, o]     over the i, j with s i + u - p = a, s j + v - p = b
//! dweight[u, v, c, o] = Σ_{n, i, j} x[n, s i + u - p, s j + v - p, c] dy[n, i, j, o]
//! dbias[o]        = Σ_{n, i, j} dy[n, i, j, o]                        a column sum: see [`crate::reduce`]
//! ```
//!
//! Elements of x outside of the image count as zero.

mod cases;
mod cpu;
mod gpu;

pub use cases::cases;

use crate::Cpu;
use crate::kernel::{Args, Binding, Clock, Cost, Dispatch, GpuTraits, Kernel};
use crate::size::{window_positions, words};

/// The geometry of a convolution, shared by its three passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Images N.
    pub batch: usize,
    /// Rows of an input image, H.
    pub height: usize,
    /// Columns of an input image, W.
    pub width: usize,
    /// Channels of x, C.
    pub in_channels: usize,
    /// Channels of y, O.
    pub out_channels: usize,
    /// Rows and columns of the filter, K.
    pub kernel: usize,
    /// Distance of neighbouring windows, s, at least 1.
    pub stride: usize,
    /// Zeros around the image on every side, p; less than K.
    pub padding: usize,
}

impl Conv2d {
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
        words([self.batch, self.height, self.width, self.in_channels])
    }
    /// Elements of y.
    pub fn y_len(&self) -> usize {
        words([self.batch, self.out_height(), self.out_width(), self.out_channels])
    }
    /// Elements of the weight.
    pub fn weight_len(&self) -> usize {
        words([self.kernel, self.kernel, self.in_channels, self.out_channels])
    }
    /// `64x32x32x16 -> 32, 3x3 s2 p1`, and `direct` where Winograd's method could serve but may not.
    fn shape(&self, winograd: bool) -> String {
        format!(
            "{}x{}x{}x{} -> {}, {k}x{k} s{} p{}{}",
            self.batch,
            self.height,
            self.width,
            self.in_channels,
            self.out_channels,
            self.stride,
            self.padding,
            if !winograd && self.kernel == 3 && self.stride == 1 { " direct" } else { "" },
            k = self.kernel
        )
    }
    /// The CPU's methods take pointers: these lengths are all that they rely on.
    fn check(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &[f32]) {
        let (kernel, padding) = (self.kernel, self.padding);
        let padded = self.height.min(self.width).saturating_add(2 * padding);
        assert!(self.stride > 0 && padding < kernel && kernel <= padded, "{self:?}");
        let lengths = [self.x_len(), self.weight_len(), self.y_len()];
        assert_eq!([x.len(), weight.len(), y.len()], lengths, "{self:?}");
        assert!(bias.is_none_or(|bias| bias.len() == self.out_channels), "{self:?}");
    }
    /// Arithmetic of the direct method, whichever is used, and x, weight and y once each.
    fn cost(&self) -> Cost {
        let taps = self.kernel * self.kernel * self.in_channels;
        Cost {
            flops: 2 * (self.y_len() * taps) as u64,
            bytes: 4 * (self.x_len() + self.y_len() + self.weight_len()) as u64,
        }
    }
}

/// `y = conv(x, weight) + bias`.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dForward {
    /// Geometry.
    pub conv: Conv2d,
    /// Whether there is a bias.
    pub bias: bool,
    /// Whether the CPU may use Winograd's method where it is faster.
    pub winograd: bool,
}

/// The gradient of x.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dBackwardData {
    /// Geometry.
    pub conv: Conv2d,
    /// Whether the CPU may use Winograd's method where it is faster.
    pub winograd: bool,
}

/// The gradient of the weight.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dBackwardWeight {
    /// Geometry.
    pub conv: Conv2d,
    /// Whether the CPU may use Winograd's method where it is faster.
    pub winograd: bool,
}

impl Kernel for Conv2dForward {
    fn name(&self) -> &'static str {
        "conv2d/forward"
    }
    fn shape(&self) -> String {
        format!("{}{}", self.conv.shape(self.winograd), if self.bias { " +bias" } else { "" })
    }
    fn bindings(&self) -> Vec<Binding> {
        let mut bindings =
            vec![Binding::read("x", self.conv.x_len()), Binding::read("weight", self.conv.weight_len())];
        if self.bias {
            bindings.push(Binding::read("bias", self.conv.out_channels));
        }
        bindings.push(Binding::write("y", self.conv.y_len()));
        bindings
    }
    fn cost(&self) -> Cost {
        self.conv.cost()
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::forward(self, gpu)
    }
    fn gpu_scratch(&self, gpu: &GpuTraits) -> usize {
        gpu::forward_scratch(self, gpu)
    }
    fn cpu_scratch(&self, cpu: &Cpu) -> usize {
        cpu::forward_scratch(self, cpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        if self.bias {
            let ([x, weight, bias, y], scratch) = args.split();
            cpu::forward(
                self,
                cpu,
                x.f32(),
                weight.f32(),
                Some(bias.f32()),
                y.f32_mut(),
                bytemuck::cast_slice_mut(scratch),
            );
        } else {
            let ([x, weight, y], scratch) = args.split();
            cpu::forward(
                self,
                cpu,
                x.f32(),
                weight.f32(),
                None,
                y.f32_mut(),
                bytemuck::cast_slice_mut(scratch),
            );
        }
    }
}

impl Kernel for Conv2dBackwardData {
    fn name(&self) -> &'static str {
        "conv2d/backward_data"
    }
    fn shape(&self) -> String {
        self.conv.shape(self.winograd)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("dy", self.conv.y_len()),
            Binding::read("weight", self.conv.weight_len()),
            Binding::write("dx", self.conv.x_len()),
        ]
    }
    fn cost(&self) -> Cost {
        self.conv.cost()
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::backward_data(self, gpu)
    }
    fn gpu_scratch(&self, gpu: &GpuTraits) -> usize {
        gpu::backward_data_scratch(self, gpu)
    }
    fn cpu_scratch(&self, cpu: &Cpu) -> usize {
        cpu::backward_data_scratch(self, cpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([dy, weight, dx], scratch) = args.split();
        cpu::backward_data(
            self,
            cpu,
            dy.f32(),
            weight.f32(),
            dx.f32_mut(),
            bytemuck::cast_slice_mut(scratch),
        );
    }
}

impl Kernel for Conv2dBackwardWeight {
    fn name(&self) -> &'static str {
        "conv2d/backward_weight"
    }
    fn shape(&self) -> String {
        self.conv.shape(self.winograd)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("x", self.conv.x_len()),
            Binding::read("dy", self.conv.y_len()),
            Binding::write("dweight", self.conv.weight_len()),
        ]
    }
    fn cost(&self) -> Cost {
        self.conv.cost()
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::backward_weight(self, gpu)
    }
    fn gpu_scratch(&self, gpu: &GpuTraits) -> usize {
        gpu::backward_weight_scratch(self, gpu)
    }
    fn cpu_scratch(&self, cpu: &Cpu) -> usize {
        cpu::backward_weight_scratch(self, cpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([x, dy, dweight], scratch) = args.split();
        cpu::backward_weight(
            self,
            cpu,
            x.f32(),
            dy.f32(),
            dweight.f32_mut(),
            bytemuck::cast_slice_mut(scratch),
        );
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
