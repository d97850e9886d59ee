//! The launches of a product C = A B on a GPU, whatever its operands are read from: which design, which tile, and whether
//! K is split.
//!
//! - `tiled`, for GPUs: a workgroup computes a square tile of C through workgroup memory. Three sizes: large tiles do
//!   more arithmetic per byte, small ones keep the device busy when C is small.
//! - `direct`, for software drivers: a thread computes 8x8 or 16x16 elements straight from the buffers.
//!
//! Where C has few tiles and K is long (the gradient of a weight), `tiled` splits K: every part of K writes a plane of
//! partial sums to scratch memory, and `combine` adds the planes in order. Nothing here depends on anything but the
//! shape and [`GpuTraits`], so a device always computes the same bits.

use super::Activation;
use crate::kernel::{Access, Dispatch, GpuTraits, SCRATCH};
use crate::template::expand;

/// One size of the tiled design; the tile is square.
#[derive(Clone, Copy, Debug)]
struct Tiling {
    /// Rows and columns of C that a workgroup computes.
    tile: usize,
    /// Length of K that is staged in workgroup memory at a time.
    tile_k: usize,
    /// Threads in a workgroup. Each brings `tile * tile_k / 16 / threads` blocks of either operand.
    threads: usize,
    /// A thread computes `groups * groups` blocks of 4x4.
    groups: usize,
    /// Relative time per element of C on a busy device.
    weight: f64,
}

const TILINGS: [Tiling; 3] = [
    Tiling { tile: 128, tile_k: 16, threads: 256, groups: 2, weight: 1.0 },
    Tiling { tile: 64, tile_k: 16, threads: 64, groups: 2, weight: 1.1 },
    Tiling { tile: 32, tile_k: 32, threads: 64, groups: 1, weight: 1.5 },
];

/// A part of K is at least this long, or adding up the parts costs more than it saves.
const SHORTEST_SPLIT: usize = 512;
/// At most this many parts.
const MOST_SPLITS: usize = 64;
/// Threads in a workgroup of `direct`: the lanes of one AVX2 register, so that small products still use every core.
const DIRECT_THREADS: usize = 8;
/// With this many tiles of 16x16 (8 full workgroups) `direct` computes 16x16 elements per thread, else 8x8: large tiles
/// are 1.6 times as fast, but compile for longer (with guards for a K that is no multiple of 4, for seconds) and leave
/// the threads of small products idle.
const DIRECT_LARGE: usize = 64;
const COMBINE_THREADS: usize = 256;

/// `C = activation(A B + bias)` with A `[M, K]`, B `[K, N]` and C `[M, N]`, of which a kernel says how A and B are read
/// and where the rows of C lie. Among the kernel's buffers A comes first, then B, the bias if there is one, and C.
pub(crate) struct Product {
    /// The kernel, for labels.
    pub(crate) name: &'static str,
    /// Number of independent products.
    pub(crate) batch: usize,
    pub(crate) m: usize,
    pub(crate) n: usize,
    /// May be 0: then C is zero.
    pub(crate) k: usize,
    pub(crate) bias: bool,
    pub(crate) activation: Activation,
    /// WGSL that reads A and B: for either, the type `Lines_a` and the functions `start_a` and `load_a` as in
    /// `operand.wgsl`. The argument says whether `load_a` may be asked for a k beyond the end, where it takes zeros.
    pub(crate) operands: Box<dyn Fn(bool) -> String>,
    /// Words of `struct Geometry`, which the operands then declare; none if they need nothing but the sizes above.
    pub(crate) geometry: Vec<u32>,
    /// WGSL expression: where row `row` of C, in plane `plane`, lies in its buffer, counted in rows.
    pub(crate) row: &'static str,
    /// Whether C lies in its buffer row by row, so that the planes of a split K can be added to it.
    pub(crate) may_split: bool,
}

/// How a product is cut into workgroups.
#[derive(Clone, Copy, Debug)]
struct Plan {
    tiling: Tiling,
    splits: usize,
    /// Length of a part of K, a multiple of the slab.
    split_k: usize,
}

impl Plan {
    fn new(product: &Product, gpu: &GpuTraits) -> Self {
        // About this many workgroups keep a device busy: a thread with 64 sums leaves room for a quarter of the threads.
        let enough = (gpu.concurrent_workgroups as usize / 4).max(1);
        // The planes are bound at once.
        let most_planes = if product.may_split { gpu.largest_binding / product.elements() } else { 1 };
        let most_splits = (product.k / SHORTEST_SPLIT).clamp(1, MOST_SPLITS).min(most_planes.max(1));
        let tiles = |tiling: &Tiling| {
            product.batch * product.m.div_ceil(tiling.tile) * product.n.div_ceil(tiling.tile)
        };
        let time = |tiling: &Tiling| {
            let busy = (tiles(tiling) * most_splits) as f64 / enough as f64;
            tiling.weight * (tiles(tiling) * tiling.tile * tiling.tile) as f64 / busy.min(1.0)
        };
        let fits = |tiling: &&Tiling| 8 * tiling.tile * tiling.tile_k <= gpu.workgroup_memory as usize;
        let tiling =
            *TILINGS.iter().filter(fits).min_by(|x, y| time(x).total_cmp(&time(y))).unwrap_or(&TILINGS[2]);
        let splits = enough.div_ceil(tiles(&tiling)).min(most_splits);
        let split_k = product.k.max(1).div_ceil(splits).next_multiple_of(tiling.tile_k);
        Self { tiling, splits: product.k.max(1).div_ceil(split_k), split_k }
    }
}

impl Product {
    /// The launches, in order.
    pub(crate) fn dispatches(&self, gpu: &GpuTraits) -> Vec<Dispatch> {
        if gpu.software {
            return vec![self.direct(false)];
        }
        let plan = Plan::new(self, gpu);
        if plan.splits == 1 {
            return vec![self.tiled(&plan, false)];
        }
        vec![self.tiled(&plan, true), self.combine(plan.splits, false)]
    }

    /// Words of scratch memory that [`Product::dispatches`] needs.
    pub(crate) fn scratch(&self, gpu: &GpuTraits) -> usize {
        match self.planes(gpu) {
            1 => 0,
            planes => planes * self.elements(),
        }
    }

    /// The number of planes that [`Product::partial`] writes.
    pub(crate) fn planes(&self, gpu: &GpuTraits) -> usize {
        if gpu.software { 1 } else { Plan::new(self, gpu).splits }
    }

    /// The launch that writes planes of partial sums to scratch memory, and no C yet.
    pub(crate) fn partial(&self, gpu: &GpuTraits) -> Dispatch {
        if gpu.software { self.direct(true) } else { self.tiled(&Plan::new(self, gpu), true) }
    }

    /// Elements of C.
    pub(crate) fn elements(&self) -> usize {
        self.batch * self.m * self.n
    }

    fn tiled(&self, plan: &Plan, partial: bool) -> Dispatch {
        let Tiling { tile, tile_k, threads, groups, .. } = plan.tiling;
        let values: &[(&str, &dyn std::fmt::Display)] = &[
            ("TILE", &tile),
            ("TILE_K", &tile_k),
            ("THREADS", &threads),
            ("GROUPS", &groups),
            // With 16 elements a block, a slab of one operand has this many blocks.
            ("HALVES", &(2 * tile * tile_k / 16 == threads)),
        ];
        let main = expand(include_str!("tiled.wgsl"), values);
        let (tiles_m, tiles_n) = (self.m.div_ceil(tile), self.n.div_ceil(tile));
        let tiles = tiles_m * tiles_n * self.batch * plan.splits;
        let grid = grid(tiles);
        let split = if plan.splits > 1 { format!(" split {}", plan.splits) } else { String::new() };
        Dispatch {
            label: format!("{}/tiled {tile}x{tile}x{tile_k}{split}", self.name).into(),
            source: self.source(partial, true, &main),
            constants: Vec::new(),
            bindings: self.bindings(partial),
            immediates: self.immediates(plan.split_k, (tiles_m, tiles_n), tiles, grid),
            clock: false,
            grid,
            windows: Vec::new(),
        }
    }

    fn direct(&self, partial: bool) -> Dispatch {
        let tiles = |edge: usize| (self.m.div_ceil(edge), self.n.div_ceil(edge));
        let count = |edge: usize| tiles(edge).0 * tiles(edge).1 * self.batch;
        let guard = !self.k.is_multiple_of(4);
        let edge = if count(16) >= DIRECT_LARGE && !guard { 16 } else { 8 };
        let main =
            expand(include_str!("direct.wgsl"), &[("BLOCKS", &(edge / 4)), ("THREADS", &DIRECT_THREADS)]);
        let grid = grid(count(edge).div_ceil(DIRECT_THREADS));
        Dispatch {
            label: format!("{}/direct {edge}x{edge}", self.name).into(),
            source: self.source(partial, guard, &main),
            constants: Vec::new(),
            bindings: self.bindings(partial),
            immediates: self.immediates(self.k, tiles(edge), count(edge), grid),
            clock: false,
            grid,
            windows: Vec::new(),
        }
    }

    /// The launch that adds the planes in scratch memory: to C as it is if `accumulate`, else they are all of C.
    pub(crate) fn combine(&self, planes: usize, accumulate: bool) -> Dispatch {
        let width = if self.n.is_multiple_of(4) { 4 } else { 1 };
        let values: &[(&str, &dyn std::fmt::Display)] = &[
            ("C_VEC4", &(width == 4)),
            ("ACCUMULATE", &accumulate),
            ("BIAS", &self.bias),
            ("RELU", &(self.activation == Activation::Relu)),
            ("THREADS", &COMBINE_THREADS),
        ];
        let elements = self.elements() / width;
        let grid = grid(elements.div_ceil(COMBINE_THREADS));
        let access = if accumulate { Access::ReadWrite } else { Access::Write };
        let mut bindings = vec![(SCRATCH, Access::Read), (self.c_index(), access)];
        if self.bias {
            bindings.push((2, Access::Read));
        }
        Dispatch {
            label: format!("{}/combine", self.name).into(),
            source: expand(include_str!("combine.wgsl"), values).into(),
            constants: Vec::new(),
            bindings,
            immediates: [elements, self.n / width, planes, grid[0] as usize].map(|word| word as u32).to_vec(),
            clock: false,
            grid,
            windows: Vec::new(),
        }
    }

    /// The place of `c` among the kernel's buffers.
    fn c_index(&self) -> usize {
        2 + usize::from(self.bias)
    }

    fn bindings(&self, partial: bool) -> Vec<(usize, Access)> {
        let c = if partial { SCRATCH } else { self.c_index() };
        let mut bindings = vec![(0, Access::Read), (1, Access::Read), (c, Access::Write)];
        if self.bias && !partial {
            bindings.push((2, Access::Read));
        }
        bindings
    }

    /// The words of `struct Immediates` in `problem.wgsl`.
    fn immediates(
        &self,
        split_k: usize,
        (tiles_m, tiles_n): (usize, usize),
        tiles: usize,
        grid: [u32; 3],
    ) -> Vec<u32> {
        let &Self { m, n, k, batch, .. } = self;
        let mut words = [m, n, k, batch, split_k, tiles_m, tiles_n, tiles, grid[0] as usize]
            .map(|word| word as u32)
            .to_vec();
        words.extend(&self.geometry);
        words
    }

    /// The parts that both designs share, and `main`.
    fn source(&self, partial: bool, guard: bool, main: &str) -> std::borrow::Cow<'static, str> {
        let values: &[(&str, &dyn std::fmt::Display)] = &[
            ("C_VEC4", &self.n.is_multiple_of(4)),
            ("BIAS", &(self.bias && !partial)),
            ("RELU", &(self.activation == Activation::Relu && !partial)),
            ("ROW", &self.row),
        ];
        let parts = [
            &expand(include_str!("problem.wgsl"), &[("GEOMETRY", &!self.geometry.is_empty())]),
            &(self.operands)(guard),
            &expand(include_str!("store.wgsl"), values),
            main,
        ];
        parts.join("\n").into()
    }
}

/// Where the rows of C lie if they follow each other, and so do the planes.
pub(crate) const ROW_BY_ROW: &str = "plane * imm.m + row";

/// WGSL that reads operand `name` (`a` or `b`) from a matrix; see `operand.wgsl`. It is stored `[M, K]` or `[N, K]` if
/// `k_contiguous`, else `[K, M]` or `[K, N]`, with rows of `contiguous` elements.
pub(crate) fn matrix(name: char, k_contiguous: bool, contiguous: usize, guard: bool) -> String {
    let (binding, outer) = if name == 'a' { (0, 'm') } else { (1, 'n') };
    let values: &[(&str, &dyn std::fmt::Display)] = &[
        ("X", &name),
        ("BINDING", &binding),
        ("OUTER", &outer),
        ("K_CONTIGUOUS", &k_contiguous),
        ("VEC4", &contiguous.is_multiple_of(4)),
        ("GUARD", &guard),
    ];
    expand(include_str!("operand.wgsl"), values)
}

/// Workgroups in x and y: each at most 65,535, and fewer than y in vain.
fn grid(workgroups: usize) -> [u32; 3] {
    let y = workgroups.div_ceil(65_535);
    [workgroups.div_ceil(y.max(1)) as u32, y as u32, 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nn(m: usize, n: usize, k: usize) -> Product {
        let activation = Activation::None;
        let nothing = |_| String::new();
        Product {
            name: "test",
            batch: 1,
            m,
            n,
            k,
            bias: false,
            activation,
            operands: Box::new(nothing),
            geometry: Vec::new(),
            row: ROW_BY_ROW,
            may_split: true,
        }
    }

    fn gpu(concurrent_workgroups: u32) -> GpuTraits {
        GpuTraits {
            software: false,
            workgroup_memory: 32 * 1024,
            concurrent_workgroups,
            largest_binding: 1 << 29,
        }
    }

    #[test]
    fn tiles_grow_with_the_work_and_shrink_with_the_device() {
        let tile = |product: &Product, concurrent| Plan::new(product, &gpu(concurrent)).tiling.tile;
        assert_eq!(tile(&nn(4096, 4096, 4096), 2000), 128);
        assert_eq!(tile(&nn(1024, 2048, 256), 2000), 64);
        assert_eq!(tile(&nn(256, 512, 784), 2000), 32);
        assert_eq!(tile(&nn(256, 512, 784), 32), 128);
        // A tile that is mostly beyond the edge is no use.
        assert_eq!(tile(&nn(65_536, 64, 576), 2000), 64);
        assert_eq!(tile(&nn(65_536, 10, 576), 2000), 32);
    }

    #[test]
    fn the_parts_of_k_cover_it() {
        let gradient_of_a_weight = Plan::new(&nn(512, 512, 16_640), &gpu(2000));
        assert!(gradient_of_a_weight.splits > 1);
        for k in (1..5000).step_by(7) {
            for (m, n) in [(10, 10), (512, 100), (1000, 1000)] {
                for concurrent in [1, 32, 2000, 1_000_000] {
                    let Plan { tiling, splits, split_k } = Plan::new(&nn(m, n, k), &gpu(concurrent));
                    assert!(split_k.is_multiple_of(tiling.tile_k), "{m}x{n}x{k}");
                    assert!(splits * split_k >= k && (splits - 1) * split_k < k, "{m}x{n}x{k}");
                    assert!(splits <= (k / SHORTEST_SPLIT).clamp(1, MOST_SPLITS), "{m}x{n}x{k}");
                }
            }
        }
    }

    #[test]
    fn planes_are_bound_at_once() {
        let product = nn(512, 512, 16_640);
        let little = GpuTraits { largest_binding: 3 * product.elements() + 1, ..gpu(2000) };
        assert_eq!((product.planes(&gpu(2000)), product.planes(&little)), (32, 3));
        // Without a term there is still a C to write.
        assert_eq!(nn(100, 100, 0).planes(&gpu(2000)), 1);
    }

    #[test]
    fn grids_fold() {
        for workgroups in [1, 2, 65_535, 65_536, 65_537, 1_000_003, 4_000_000_000] {
            let [x, y, z] = grid(workgroups).map(|size| size as usize);
            assert!(x <= 65_535 && y <= 65_535 && z == 1);
            assert!(x * y >= workgroups && x * y < workgroups + y, "{workgroups} as {x}x{y}");
        }
    }
}
