//! The launches on a GPU: which design, which tile, and whether K is split.
//!
//! - `tiled`, for GPUs: a workgroup computes a square tile of C through workgroup memory. Three sizes: large tiles do
//!   more arithmetic per byte, small ones keep the device busy when C is small.
//! - `direct`, for software drivers: a thread computes 8x8 or 16x16 elements straight from the buffers.
//!
//! Where C has few tiles and K is long (the gradient of a weight), `tiled` splits K: every part of K writes a plane of
//! partial sums to scratch memory, and `combine` adds the planes in order. Nothing here depends on anything but the
//! shape and [`GpuTraits`], so a device always computes the same bits.

use super::{Activation, Matmul};
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

/// How a product is cut into workgroups.
#[derive(Clone, Copy, Debug)]
struct Plan {
    tiling: Tiling,
    splits: usize,
    /// Length of a part of K, a multiple of the slab.
    split_k: usize,
}

impl Plan {
    fn new(matmul: &Matmul, gpu: &GpuTraits) -> Self {
        // About this many workgroups keep a device busy: a thread with 64 sums leaves room for a quarter of the threads.
        let enough = (gpu.concurrent_workgroups as usize / 4).max(1);
        let most_splits = (matmul.k / SHORTEST_SPLIT).clamp(1, MOST_SPLITS);
        let tiles =
            |tiling: &Tiling| matmul.batch * matmul.m.div_ceil(tiling.tile) * matmul.n.div_ceil(tiling.tile);
        let time = |tiling: &Tiling| {
            let busy = (tiles(tiling) * most_splits) as f64 / enough as f64;
            tiling.weight * (tiles(tiling) * tiling.tile * tiling.tile) as f64 / busy.min(1.0)
        };
        let fits = |tiling: &&Tiling| 8 * tiling.tile * tiling.tile_k <= gpu.workgroup_memory as usize;
        let tiling =
            *TILINGS.iter().filter(fits).min_by(|x, y| time(x).total_cmp(&time(y))).unwrap_or(&TILINGS[2]);
        let splits = enough.div_ceil(tiles(&tiling)).min(most_splits);
        let split_k = matmul.k.div_ceil(splits).next_multiple_of(tiling.tile_k);
        Self { tiling, splits: matmul.k.div_ceil(split_k), split_k }
    }
}

pub(super) fn dispatches(matmul: &Matmul, gpu: &GpuTraits) -> Vec<Dispatch> {
    if gpu.software {
        return vec![direct(matmul)];
    }
    let plan = Plan::new(matmul, gpu);
    let mut dispatches = vec![tiled(matmul, &plan)];
    if plan.splits > 1 {
        dispatches.push(combine(matmul, plan.splits));
    }
    dispatches
}

pub(super) fn scratch(matmul: &Matmul, gpu: &GpuTraits) -> usize {
    if gpu.software {
        return 0;
    }
    match Plan::new(matmul, gpu).splits {
        1 => 0,
        splits => splits * matmul.batch * matmul.m * matmul.n,
    }
}

fn tiled(matmul: &Matmul, plan: &Plan) -> Dispatch {
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
    let (tiles_m, tiles_n) = (matmul.m.div_ceil(tile), matmul.n.div_ceil(tile));
    let tiles = tiles_m * tiles_n * matmul.batch * plan.splits;
    let grid = grid(tiles);
    let split = if plan.splits > 1 { format!(" split {}", plan.splits) } else { String::new() };
    Dispatch {
        label: format!("matmul/tiled {tile}x{tile}x{tile_k}{split}").into(),
        source: source(matmul, plan.splits > 1, true, &main),
        constants: Vec::new(),
        bindings: bindings(matmul, plan.splits > 1),
        immediates: immediates(matmul, plan.split_k, (tiles_m, tiles_n), tiles, grid),
        clock: false,
        grid,
        windows: Vec::new(),
    }
}

fn direct(matmul: &Matmul) -> Dispatch {
    let tiles = |edge: usize| (matmul.m.div_ceil(edge), matmul.n.div_ceil(edge));
    let count = |edge: usize| tiles(edge).0 * tiles(edge).1 * matmul.batch;
    let guard = !matmul.k.is_multiple_of(4);
    let edge = if count(16) >= DIRECT_LARGE && !guard { 16 } else { 8 };
    let main = expand(include_str!("direct.wgsl"), &[("BLOCKS", &(edge / 4)), ("THREADS", &DIRECT_THREADS)]);
    let grid = grid(count(edge).div_ceil(DIRECT_THREADS));
    Dispatch {
        label: format!("matmul/direct {edge}x{edge}").into(),
        source: source(matmul, false, guard, &main),
        constants: Vec::new(),
        bindings: bindings(matmul, false),
        immediates: immediates(matmul, matmul.k, tiles(edge), count(edge), grid),
        clock: false,
        grid,
        windows: Vec::new(),
    }
}

fn combine(matmul: &Matmul, splits: usize) -> Dispatch {
    let width = if matmul.n.is_multiple_of(4) { 4 } else { 1 };
    let values: &[(&str, &dyn std::fmt::Display)] = &[
        ("C_VEC4", &(width == 4)),
        ("BIAS", &matmul.bias),
        ("RELU", &(matmul.activation == Activation::Relu)),
        ("THREADS", &COMBINE_THREADS),
    ];
    let elements = matmul.batch * matmul.m * matmul.n / width;
    let grid = grid(elements.div_ceil(COMBINE_THREADS));
    let mut bindings = vec![(SCRATCH, Access::Read), (c_index(matmul), Access::Write)];
    if matmul.bias {
        bindings.push((2, Access::Read));
    }
    Dispatch {
        label: "matmul/combine".into(),
        source: expand(include_str!("combine.wgsl"), values).into(),
        constants: Vec::new(),
        bindings,
        immediates: [elements, matmul.n / width, splits, grid[0] as usize].map(|word| word as u32).to_vec(),
        clock: false,
        grid,
        windows: Vec::new(),
    }
}

/// The place of `c` among the kernel's buffers.
fn c_index(matmul: &Matmul) -> usize {
    2 + usize::from(matmul.bias)
}

fn bindings(matmul: &Matmul, split: bool) -> Vec<(usize, Access)> {
    let c = if split { SCRATCH } else { c_index(matmul) };
    let mut bindings = vec![(0, Access::Read), (1, Access::Read), (c, Access::Write)];
    if matmul.bias && !split {
        bindings.push((2, Access::Read));
    }
    bindings
}

/// The words of `struct Immediates` in `problem.wgsl`.
fn immediates(
    matmul: &Matmul,
    split_k: usize,
    (tiles_m, tiles_n): (usize, usize),
    tiles: usize,
    grid: [u32; 3],
) -> Vec<u32> {
    let &Matmul { m, n, k, batch, .. } = matmul;
    [m, n, k, batch, split_k, tiles_m, tiles_n, tiles, grid[0] as usize].map(|word| word as u32).to_vec()
}

/// The parts that both designs share, and `main`.
fn source(matmul: &Matmul, split: bool, guard: bool, main: &str) -> std::borrow::Cow<'static, str> {
    let operand = |name: &str, binding: usize, outer: &str, k_contiguous: bool, contiguous: usize| {
        let values: &[(&str, &dyn std::fmt::Display)] = &[
            ("X", &name),
            ("BINDING", &binding),
            ("OUTER", &outer),
            ("K_CONTIGUOUS", &k_contiguous),
            ("VEC4", &contiguous.is_multiple_of(4)),
            ("GUARD", &guard),
        ];
        expand(include_str!("operand.wgsl"), values)
    };
    let &Matmul { m, n, k, a_transposed, b_transposed, .. } = matmul;
    let values: &[(&str, &dyn std::fmt::Display)] = &[
        ("C_VEC4", &n.is_multiple_of(4)),
        ("BIAS", &(matmul.bias && !split)),
        ("RELU", &(matmul.activation == Activation::Relu && !split)),
    ];
    let parts = [
        include_str!("problem.wgsl"),
        &operand("a", 0, "m", !a_transposed, if a_transposed { m } else { k }),
        &operand("b", 1, "n", b_transposed, if b_transposed { k } else { n }),
        &expand(include_str!("store.wgsl"), values),
        main,
    ];
    parts.join("\n").into()
}

/// Workgroups in x and y: each at most 65,535, and fewer than y in vain.
fn grid(workgroups: usize) -> [u32; 3] {
    let y = workgroups.div_ceil(65_535);
    [workgroups.div_ceil(y.max(1)) as u32, y as u32, 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nn(m: usize, n: usize, k: usize) -> Matmul {
        let activation = Activation::None;
        Matmul { batch: 1, m, n, k, a_transposed: false, b_transposed: false, bias: false, activation }
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
        let tile = |matmul: &Matmul, concurrent| Plan::new(matmul, &gpu(concurrent)).tiling.tile;
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
    fn grids_fold() {
        for workgroups in [1, 2, 65_535, 65_536, 65_537, 1_000_003, 4_000_000_000] {
            let [x, y, z] = grid(workgroups).map(|size| size as usize);
            assert!(x <= 65_535 && y <= 65_535 && z == 1);
            assert!(x * y >= workgroups && x * y < workgroups + y, "{workgroups} as {x}x{y}");
        }
    }
}
