//! Layer normalisation over the last axis (Ba, Kiros and Hinton, 2016), as PyTorch computes it, with the residual
//! connection before it fused in if wanted.
//!
//! x and y are `[rows, width]`: all axes but the last are rows. For each row:
//!
//! ```text
//! mean = Σ x / width        var = Σ (x - mean)² / width        inverse = 1 / sqrt(var + eps)
//! xhat = (x - mean) inverse        y = xhat weight + bias
//! ```
//!
//! Gradients, with g = dy weight and means taken over the row:
//!
//! ```text
//! dx = inverse (g - mean(g) - xhat mean(g xhat))        dweight = Σ_rows dy xhat        dbias = Σ_rows dy
//! ```
//!
//! A pre-norm transformer normalises the stream x after it has added a branch to it, the output of attention or of an MLP.
//! One pass does both, and the mask of the branch's dropout is drawn on the way:
//!
//! ```text
//! sum = residual + mask branch        y = layer_norm(sum)
//! dresidual = dsum + (the dx above)   dbranch = mask dresidual
//! ```
//!
//! mask is `1 / (1 - rate)` where kept, else 0 ([`Mask`]); the four elements of one counter never cross the end of a row:
//! element c of row r is lane `c % 4` of counter `r ceil(width / 4) + c / 4`.
//!
//! How this moves when x and the parameters do is in [`LayerNormTangent`] and [`LayerNormGradientTangent`].
//!
//! Mean and variance are computed again in the backward pass, from the row that lies in registers anyway: nothing is saved.
//! Each variance is a second pass over that row, never `Σx² / width - mean²`. Sums over rows are cut into chunks by shape;
//! the partial sums are added in order.

use crate::dropout::Mask;
use crate::size::words;
use crate::{Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

mod cases;
mod cpu;
mod gpu;
mod tangent;
mod tangent_cases;

pub use cases::cases;
pub use tangent::{LayerNormGradientTangent, LayerNormTangent};

/// `y = layer_norm(x)`, or `sum = residual + mask branch, y = layer_norm(sum)`.
///
/// Buffers: `x, weight, bias, y`, or with a branch `residual, branch, weight, bias, sum, y`.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormForward {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// The last axis.
    pub width: usize,
    /// Added to the variance; 1e-5 in PyTorch.
    pub eps: f32,
    /// Whether a branch is added first.
    pub branch: bool,
    /// Dropout of the branch; `None` without.
    pub mask: Option<Mask>,
}

/// The gradients of [`LayerNormForward`].
///
/// Buffers: `dy, x, weight`, `dsum` if there is one, `dx`, `dbranch` if the branch had dropout (else dbranch is dx),
/// `dweight, dbias`, `[groups, width]` each. With a branch x is `sum`, and dx is the gradient of the residual.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormBackward {
    /// Rows of x.
    pub rows: usize,
    /// The last axis.
    pub width: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Whether a gradient of `sum` is added to dx.
    pub dsum: bool,
    /// Dropout of the branch; `None` without.
    pub mask: Option<Mask>,
    /// Groups of equally many neighbouring rows, each with sums of its own: 1, or one for each example.
    pub groups: usize,
}

/// Rows whose part of dweight and dbias is summed by itself.
const CHUNK_ROWS: usize = 64;
/// Most chunks: bounds the scratch memory and the work of adding them up.
const MOST_CHUNKS: usize = 1024;

impl LayerNormBackward {
    /// Rows of a chunk: of several groups each is one.
    fn chunk_rows(&self) -> usize {
        match self.groups {
            1 => self.rows.div_ceil(MOST_CHUNKS).next_multiple_of(CHUNK_ROWS),
            groups => self.rows / groups,
        }
    }
}

fn shape(rows: usize, width: usize, branch: bool, mask: Option<Mask>) -> String {
    let dropout = mask.map_or(String::new(), |mask| format!(" dropout {}", mask.rate));
    format!("{rows}x{width}{}{dropout}", if branch { " +branch" } else { "" })
}

impl Kernel for LayerNormForward {
    fn name(&self) -> &'static str {
        "layer_norm/forward"
    }
    fn shape(&self) -> String {
        shape(self.rows, self.width, self.branch, self.mask)
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.width]);
        let parameters = [Binding::read("weight", self.width), Binding::read("bias", self.width)];
        let mut bindings = match self.branch {
            true => vec![Binding::read("residual", all), Binding::read("branch", all)],
            false => vec![Binding::read("x", all)],
        };
        bindings.extend(parameters);
        if self.branch {
            bindings.push(Binding::write("sum", all));
        }
        bindings.push(Binding::write("y", all));
        bindings
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.width) as u64;
        let branch = u64::from(self.branch);
        // Mean: 1. Variance: 3. Normalising: 3. The generator of the mask is not counted.
        Cost { flops: (7 + branch) * all, bytes: 4 * ((2 + 2 * branch) * all + 2 * self.width as u64) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::forward(self, gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        cpu::forward(self, cpu, clock, args);
    }
}

impl Kernel for LayerNormBackward {
    fn name(&self) -> &'static str {
        "layer_norm/backward"
    }
    fn shape(&self) -> String {
        let groups = if self.groups > 1 { format!(" in {} groups", self.groups) } else { String::new() };
        shape(self.rows, self.width, self.dsum, self.mask) + &groups
    }
    fn bindings(&self) -> Vec<Binding> {
        let all = words([self.rows, self.width]);
        let mut bindings =
            vec![Binding::read("dy", all), Binding::read("x", all), Binding::read("weight", self.width)];
        bindings.extend(self.dsum.then(|| Binding::read("dsum", all)));
        bindings.push(Binding::write("dx", all));
        bindings.extend(self.mask.map(|_| Binding::write("dbranch", all)));
        let sums = words([self.groups, self.width]);
        bindings.extend([Binding::write("dweight", sums), Binding::write("dbias", sums)]);
        bindings
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.width) as u64;
        let (dsum, mask) = (u64::from(self.dsum), u64::from(self.mask.is_some()));
        let parameters = ((1 + 2 * self.groups) * self.width) as u64;
        // Mean and variance: 4. xhat: 2. Sums over the row: 4, over rows: 3. dx: 4.
        Cost { flops: (17 + dsum + mask) * all, bytes: 4 * ((3 + dsum + mask) * all + parameters) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        gpu::backward(self, gpu)
    }
    fn gpu_scratch(&self, gpu: &GpuTraits) -> usize {
        gpu::chunks(self, gpu) * 2 * self.width
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        self.rows.div_ceil(self.chunk_rows()) * 2 * self.width
    }
    unsafe fn run(&self, cpu: &Cpu, clock: &Clock, args: &mut Args) {
        cpu::backward(self, cpu, clock, args);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
