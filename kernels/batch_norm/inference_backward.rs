//! The gradients of batch normalisation with running statistics: each row by itself, so that an example has a gradient of
//! its own.

use super::backward::{self, Places};
use super::cpu_backward::{Buffers, Dy};
use super::{images, shape};
use crate::kernel::SCRATCH;
use crate::reduce::columns::{ColumnWork, Columns, Output, Rows, load};
use crate::simd::Simd;
use crate::size::words;
use crate::{Access, Arg, Args, Binding, Clock, Cost, Cpu, Dispatch, GpuTraits, Kernel};
use std::fmt::Display;
use std::ops::Range;

/// What the gradients need of the running statistics: `saved = [running_mean, 1 / sqrt(running_var + eps)]`, `[2, C]`.
///
/// Buffers: `running_mean`, `running_var` `[C]`, `saved`.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormRunning {
    /// Channels C.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// Gradients of [`BatchNormInference`](super::BatchNormInference): `dx = weight inverse dz`, `dweight = Σ dz xhat`,
/// `dbias = Σ dz`, with the running mean and `inverse = 1 / sqrt(running_var + eps)` in `saved`.
///
/// Buffers: those of [`BatchNormBackward`](super::BatchNormBackward), but `dweight` and `dbias` are `[groups, C]`.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormInferenceBackward {
    /// Rows of x: all axes but the last, multiplied.
    pub rows: usize,
    /// Channels C, the last axis.
    pub channels: usize,
    /// Whether ReLU followed: dy counts only where y > 0.
    pub relu: bool,
    /// Whether a residual was added, before the ReLU.
    pub residual: bool,
    /// Groups of equally many neighbouring rows, each with sums of its own: 1, or one for each example.
    pub groups: usize,
}

impl Kernel for BatchNormRunning {
    fn name(&self) -> &'static str {
        "batch_norm/running"
    }
    fn shape(&self) -> String {
        self.channels.to_string()
    }
    fn bindings(&self) -> Vec<Binding> {
        let read = |name| Binding::read(name, self.channels);
        vec![read("running_mean"), read("running_var"), Binding::write("saved", words([2, self.channels]))]
    }
    fn cost(&self) -> Cost {
        Cost { flops: 3 * self.channels as u64, bytes: 16 * self.channels as u64 }
    }
    fn dispatches(&self, _gpu: &GpuTraits) -> Vec<Dispatch> {
        vec![Dispatch {
            label: self.name().into(),
            source: include_str!("running.wgsl").into(),
            constants: Vec::new(),
            bindings: vec![(0, Access::Read), (1, Access::Read), (2, Access::ReadWrite)],
            immediates: vec![self.channels as u32, self.eps.to_bits()],
            clock: false,
            grid: [self.channels.div_ceil(64).min(65_535) as u32, 1, 1],
            windows: Vec::new(),
        }]
    }
    unsafe fn run(&self, _cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let ([mean, variance, saved], _) = args.split();
        let (means, inverses) = saved.f32_mut().split_at_mut(self.channels);
        means.copy_from_slice(mean.f32());
        for (inverse, variance) in inverses.iter_mut().zip(variance.f32()) {
            *inverse = 1.0 / (variance + self.eps).sqrt();
        }
    }
}

impl BatchNormInferenceBackward {
    /// Each group is a chunk whose sums are results; the one group that holds all rows may be cut further.
    fn cut(&self) -> Columns {
        match self.groups {
            1 => Columns::new(self.rows, self.channels),
            groups => Columns::in_groups(self.rows, self.channels, groups),
        }
    }
    /// Words for the sums of the chunks, `[chunks, 2, C]`.
    fn partial_words(&self) -> usize {
        2 * self.cut().chunks * self.channels
    }
    /// Whether the sums of the chunks are the results.
    fn whole(&self) -> bool {
        self.cut().chunks == self.groups
    }
}

impl Kernel for BatchNormInferenceBackward {
    fn name(&self) -> &'static str {
        "batch_norm/inference_backward"
    }
    fn shape(&self) -> String {
        let groups = if self.groups > 1 { format!(" in {} groups", self.groups) } else { String::new() };
        shape(self.rows, self.channels, self.relu, self.residual) + &groups
    }
    fn bindings(&self) -> Vec<Binding> {
        backward::bindings([self.rows, self.channels, self.groups], self.relu, self.residual)
    }
    fn cost(&self) -> Cost {
        let (all, c) = ((self.rows * self.channels) as u64, self.channels as u64);
        let (relu, groups) = (u64::from(self.relu), self.groups as u64);
        // Sums: 5. dx: 1. x and dy are read and dx written; behind ReLU y is read too, and dz written where it stays.
        let passes = 3 + relu * (1 + u64::from(self.residual));
        Cost { flops: (6 + relu) * all, bytes: 4 * (passes * all + (3 + 2 * groups) * c) }
    }
    fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        use Access::{Read, ReadWrite};
        let (cut, partials) = (self.cut(), !self.whole());
        let Places { y, weight, saved, dy, dx, dweight, dbias } = Places::of(self.relu, self.residual);
        let (writes_dy, width) =
            (backward::writes_dy(self.relu, self.residual), ("WIDTH", f64::from(cut.width())));
        let dy_access = if writes_dy { ReadWrite } else { Read };
        let mut bindings = vec![(0, Read), (weight, Read), (saved, Read), (dy, dy_access)];
        match partials {
            true => bindings.push((SCRATCH, ReadWrite)),
            false => bindings.extend([(dweight, ReadWrite), (dbias, ReadWrite)]),
        }
        let dx_binding = bindings.len();
        bindings.extend(dx.map(|dx| (dx, ReadWrite)));
        let y_binding = bindings.len();
        bindings.extend(y.map(|y| (y, Read)));
        let values: [(&str, &dyn Display); 6] = [
            ("RELU", &self.relu),
            ("RESIDUAL", &self.residual),
            ("WRITES_DY", &writes_dy),
            ("PARTIALS", &partials),
            ("DX", &dx_binding),
            ("Y", &y_binding),
        ];
        let sums = include_str!("sums.wgsl");
        let source = cut.source(&[sums, include_str!("inference_backward.wgsl")], &values);
        let [x, _, z] = cut.grid();
        let units = cut.units();
        let rows_of = images(&[0, dy], dx.into_iter().chain(y).map(|buffer| (buffer, Read)));
        let mut launches = cut.in_windows(&rows_of, gpu, |rows, chunks| Dispatch {
            label: self.name().into(),
            source: source.clone(),
            constants: vec![width],
            bindings: bindings.clone(),
            immediates: vec![rows.len() as u32, units, cut.chunk_rows as u32, chunks.start as u32],
            clock: false,
            grid: [x, chunks.len() as u32, z],
            windows: Vec::new(),
        });
        if partials {
            launches.push(backward::merge(&cut, [dweight, dbias]));
        }
        launches
    }
    fn gpu_scratch(&self, _gpu: &GpuTraits) -> usize {
        if self.whole() { 0 } else { self.partial_words() }
    }
    fn cpu_scratch(&self, _cpu: &Cpu) -> usize {
        self.partial_words()
    }
    unsafe fn run(&self, cpu: &Cpu, _clock: &Clock, args: &mut Args) {
        let (buffers, scratch) = args.each();
        let buffers = Buffers::new(buffers, self.relu, self.residual);
        self.backward(cpu, buffers, bytemuck::cast_slice_mut(scratch));
    }
}

impl BatchNormInferenceBackward {
    fn backward(&self, cpu: &Cpu, buffers: Buffers, partials: &mut [f32]) {
        let (cut, c) = (self.cut(), self.channels);
        let Buffers { x, y, weight, saved, dy, dx, dweight, dbias } = buffers;
        let (mean, inverse) = saved.f32().split_at(c);
        let work = Chunks {
            x: Rows::new(x.f32(), c),
            y: y.map(|y| Rows::new(y.f32(), c)),
            dy: match dy {
                Arg::Read(_) => Dy::Kept(Rows::new(dy.f32(), c)),
                Arg::Write(_) => Dy::InPlace(Output::new(dy.f32_mut(), c)),
            },
            dx: dx.map(|dx| Output::new(dx.f32_mut(), c)),
            parameters: [weight.f32(), mean, inverse],
            partials: Output::new(partials, c),
        };
        cut.run(cpu, &work);
        let groups = dweight.f32_mut().chunks_exact_mut(c).zip(dbias.f32_mut().chunks_exact_mut(c));
        for ((dweight, dbias), chunks) in groups.zip(partials.chunks_exact(partials.len() / self.groups)) {
            let sum = |column: usize| {
                chunks.iter().skip(column).step_by(2 * c).map(|&part| f64::from(part)).sum::<f64>() as f32
            };
            (0..c).for_each(|channel| dbias[channel] = sum(channel));
            (0..c).for_each(|channel| dweight[channel] = sum(c + channel));
        }
    }
}

/// dx, and the sums of each chunk.
struct Chunks<'a> {
    x: Rows<'a>,
    /// The gate of the ReLU, if there is one.
    y: Option<Rows<'a>>,
    dy: Dy<'a>,
    /// Where dx goes if dy becomes dz.
    dx: Option<Output<'a>>,
    /// Weight, mean, inverse.
    parameters: [&'a [f32]; 3],
    /// `Σ dz` and `Σ dz xhat`, `[chunks, 2, C]`.
    partials: Output<'a>,
}

impl ColumnWork for Chunks<'_> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, s: S, chunk: usize, rows: Range<usize>, columns: Range<usize>) {
        let [weight, mean, inverse] = self.parameters.map(|values| load::<S, N>(s, &values[columns.clone()]));
        let (mut sums, mut products) = ([s.splat(0.0); N], [s.splat(0.0); N]);
        for row in rows {
            let mut dz = self.dy.load::<S, N>(s, row, &columns);
            if let Some(y) = self.y {
                let y = y.load::<S, N>(s, row, &columns);
                for i in 0..N {
                    dz[i] = s.keep_positive(dz[i], y[i]);
                }
            }
            let x = self.x.load::<S, N>(s, row, &columns);
            let mut dx = dz;
            for i in 0..N {
                sums[i] = s.add(sums[i], dz[i]);
                products[i] = s.fma(dz[i], s.sub(x[i], mean[i]), products[i]);
                dx[i] = s.mul(s.mul(weight[i], inverse[i]), dz[i]);
            }
            match &self.dx {
                None => self.dy.store::<S, N>(s, row, &columns, dx),
                Some(apart) => {
                    apart.store::<S, N>(s, row, &columns, dx);
                    self.dy.store::<S, N>(s, row, &columns, dz);
                }
            }
        }
        for i in 0..N {
            products[i] = s.mul(products[i], inverse[i]);
        }
        self.partials.store::<S, N>(s, 2 * chunk, &columns, sums);
        self.partials.store::<S, N>(s, 2 * chunk + 1, &columns, products);
    }
}
