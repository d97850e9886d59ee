//! Gradients of single examples: gathered as rows, or measured.
//!
//! The gradient of one parameter for each of N examples is a matrix `[N, columns]`. The [`Scatter`] kernel puts it into
//! rows that hold all parameters of a network, in the layout of its arenas; [`SquaredNorms`] keeps nothing but its length.
//!
//! ```text
//! scatter:         rows[n, offset + c] = scale g[n, c]
//! squared_norms:   norms[n] = [norms[n] +] scale² Σ_c g[n, c]²
//! outer_norms:     norms[n] = [norms[n] +] scale² Σ_i d[n, i]² Σ_j x[n, j]²
//! ```
//!
//! The last needs no gradient in memory: that of a linear layer's weight for one example of one position is the outer
//! product `d xᵀ` (Goodfellow, *Efficient Per-Example Gradient Computations*, arXiv:1510.01799, 2015).
//!
//! The gradient of a mean over N examples holds a share `1 / N` of each example's own: `scale` gives it back.

mod cases;
mod cpu;

pub use cases::cases;

use crate::size::words;
use crate::template::expand;
use crate::windows::{in_windows, windows};
use crate::{Access, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};

/// `rows[n, offset + c] = scale g[n, c]`; all other words of `rows` stay.
///
/// Buffers: `g` `[rows, columns]`, `rows` `[rows, words]`.
#[derive(Clone, Copy, Debug)]
pub struct Scatter {
    /// Examples.
    pub rows: usize,
    /// Numbers of the parameter.
    pub columns: usize,
    /// Words of a row: of an arena of the network.
    pub words: usize,
    /// First word of the parameter in a row.
    pub offset: usize,
    /// What every number is multiplied with.
    pub scale: f32,
}

/// `norms[n] = scale² Σ_c g[n, c]²`, added to what is there if `add`.
///
/// Buffers: `g` `[rows, columns]`, `norms` `[rows]`.
#[derive(Clone, Copy, Debug)]
pub struct SquaredNorms {
    /// Examples.
    pub rows: usize,
    /// Numbers of the parameter.
    pub columns: usize,
    /// What every number is multiplied with.
    pub scale: f32,
    /// Whether the norms are sums over several parameters, and this is not the first.
    pub add: bool,
}

/// `norms[n] = scale² Σ_i d[n, i]² Σ_j x[n, j]²`, added to what is there if `add`.
///
/// Buffers: `d` `[rows, outputs]`, `x` `[rows, inputs]`, `norms` `[rows]`.
#[derive(Clone, Copy, Debug)]
pub struct OuterNorms {
    /// Examples.
    pub rows: usize,
    /// Columns of d.
    pub outputs: usize,
    /// Columns of x.
    pub inputs: usize,
    /// What every number is multiplied with.
    pub scale: f32,
    /// Whether the norms are sums over several parameters, and this is not the first.
    pub add: bool,
}

/// Threads of a workgroup.
const WORKGROUP: usize = 256;
/// Most workgroups in one dimension of a grid; shaders stride over the rest.
const GRID: usize = 65_535;

fn norms(rows: usize, add: bool) -> Binding {
    if add { Binding::read_write("norms", rows) } else { Binding::write("norms", rows) }
}

/// The launches that add up the squares of each row of one matrix, or of two and multiply.
fn norm_launches(
    label: &'static str,
    (rows, add, scale): (usize, bool, f32),
    widths: &[usize],
    gpu: &GpuTraits,
) -> Vec<Dispatch> {
    let values: [(&str, &dyn std::fmt::Display); 2] = [("ADD", &add), ("OUTER", &(widths.len() > 1))];
    let source = expand(include_str!("squared_norms.wgsl"), &values);
    let buffers: Vec<(usize, usize)> = widths.iter().copied().enumerate().collect();
    let mut bindings: Vec<_> = (0..widths.len()).map(|buffer| (buffer, Access::Read)).collect();
    bindings.push((widths.len(), Access::ReadWrite));
    in_windows(rows, &buffers, gpu, |range| {
        let mut immediates = vec![range.len() as u32, range.start as u32, (scale * scale).to_bits()];
        immediates.extend(widths.iter().map(|&width| width as u32));
        vec![Dispatch {
            label: label.into(),
            source: source.clone().into(),
            constants: Vec::new(),
            bindings: bindings.clone(),
            windows: Vec::new(),
            immediates,
            clock: false,
            grid: [range.len().min(GRID) as u32, 1, 1],
        }]
    })
}

impl Kernel for Scatter {
    fn name(&self) -> &'static str {
        "per_example/scatter"
    }
    fn shape(&self) -> String {
        format!("{}x{} to {} of {}", self.rows, self.columns, self.offset, self.words)
    }
    fn bindings(&self) -> Vec<Binding> {
        let rows = Binding::read_write("rows", words([self.rows, self.words]));
        vec![Binding::read("g", words([self.rows, self.columns])), rows]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.columns) as u64;
        Cost { flops: all, bytes: 8 * all }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        let buffers = [(0, self.columns), (1, self.words)];
        // The rows of a launch are counted in the grid's second dimension.
        let launches = windows(self.rows, &buffers, gpu);
        let longest = launches.iter().map(std::ops::Range::len).max().unwrap_or(0).min(GRID);
        in_windows(self.rows, &buffers, gpu, |range| {
            let sizes = [range.len(), self.columns, self.words, self.offset].map(|size| size as u32);
            vec![Dispatch {
                label: self.name().into(),
                source: include_str!("scatter.wgsl").into(),
                constants: Vec::new(),
                bindings: vec![(0, Access::Read), (1, Access::ReadWrite)],
                windows: Vec::new(),
                immediates: sizes.into_iter().chain([self.scale.to_bits()]).collect(),
                clock: false,
                grid: [self.columns.div_ceil(WORKGROUP).min(GRID) as u32, longest as u32, 1],
            }]
        })
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        cpu::scatter(self, cpu, args);
    }
}

impl Kernel for SquaredNorms {
    fn name(&self) -> &'static str {
        "per_example/squared_norms"
    }
    fn shape(&self) -> String {
        format!("{}x{}", self.rows, self.columns)
    }
    fn bindings(&self) -> Vec<Binding> {
        vec![Binding::read("g", words([self.rows, self.columns])), norms(self.rows, self.add)]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * self.columns) as u64;
        Cost { flops: 2 * all, bytes: 4 * (all + self.rows as u64) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        norm_launches(self.name(), (self.rows, self.add, self.scale), &[self.columns], gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([g, norms], _) = args.split();
        cpu::norms(cpu, (self.scale, self.add), [(g.f32(), self.columns)], norms.f32_mut());
    }
}

impl Kernel for OuterNorms {
    fn name(&self) -> &'static str {
        "per_example/outer_norms"
    }
    fn shape(&self) -> String {
        format!("{}x{}x{}", self.rows, self.outputs, self.inputs)
    }
    fn bindings(&self) -> Vec<Binding> {
        let [d, x] = [("d", self.outputs), ("x", self.inputs)]
            .map(|(name, columns)| Binding::read(name, words([self.rows, columns])));
        vec![d, x, norms(self.rows, self.add)]
    }
    fn cost(&self) -> Cost {
        let all = (self.rows * (self.outputs + self.inputs)) as u64;
        Cost { flops: 2 * all, bytes: 4 * (all + self.rows as u64) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        norm_launches(self.name(), (self.rows, self.add, self.scale), &[self.outputs, self.inputs], gpu)
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([d, x, norms], _) = args.split();
        let matrices = [(d.f32(), self.outputs), (x.f32(), self.inputs)];
        cpu::norms(cpu, (self.scale, self.add), matrices, norms.f32_mut());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases_on_the_cpu() {
        crate::case::check_on_cpu(super::cases());
    }
}
