// C = A B for GPUs, after problem.wgsl, operand.wgsl (twice, or what reads another operand) and store.wgsl.
//
// A workgroup computes a tile of TILE x TILE elements of C. It walks along K in slabs of TILE_K: each slab of A and B is
// staged in workgroup memory as [TILE_K][TILE], A and B alike, so that a thread reads the rows of A and the columns of B
// that it needs at one k as vec4. While a slab is multiplied, the next one is on its way into registers.
//
// A thread brings one 4x4 block of A and one of B per slab (HALVES: one half of the threads brings A, the other half B),
// and computes GROUPS x GROUPS blocks of 4x4 elements, a TILE / GROUPS apart. Eight neighbouring threads write eight
// neighbouring vec4 into workgroup memory, and a warp of 32 reads 4 vec4 of A and 8 of B: no bank conflicts.
//
// Workgroup memory: 8 * TILE * TILE_K bytes: 16 KiB for 128x128x16, 8 KiB for 64x64x16 and 32x32x32.

const QUADS: u32 = $TILEu / 4u;
const GROUP: u32 = $TILEu / $GROUPSu;

var<workgroup> tile_a: array<vec4<f32>, $TILE_K * $TILE / 4>;
var<workgroup> tile_b: array<vec4<f32>, $TILE_K * $TILE / 4>;

@compute @workgroup_size($THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let index = workgroup.x + workgroup.y * imm.grid_x;
    if index >= imm.tiles {
        return;
    }
    let tile = tile_at(index);
    let row = tile.row * $TILEu;
    let column = tile.column * $TILEu;
    let k_begin = tile.split * imm.split_k;
    let k_end = min(k_begin + imm.split_k, imm.k);

    // The block that this thread brings: block_quad along M or N, block_k along K.
    let loader = thread % ($TILEu * $TILE_Ku / 16u);
    let block_quad = loader % 8u + loader / (2u * $TILE_Ku) * 8u;
    let block_k = loader / 8u % ($TILE_Ku / 4u) * 4u;
    let stage = block_k * QUADS + block_quad;
//! if HALVES
    let brings_a = thread == loader;
    var origin_a: Lines_a;
    var origin_b: Lines_b;
    var next: mat4x4<f32>;
    if brings_a {
        origin_a = start_a(tile.batch, row + 4u * block_quad);
        next = load_a(origin_a, k_begin + block_k, k_end);
    } else {
        origin_b = start_b(tile.batch, column + 4u * block_quad);
        next = load_b(origin_b, k_begin + block_k, k_end);
    }
//! else
    let origin_a = start_a(tile.batch, row + 4u * block_quad);
    let origin_b = start_b(tile.batch, column + 4u * block_quad);
    var next_a = load_a(origin_a, k_begin + block_k, k_end);
    var next_b = load_b(origin_b, k_begin + block_k, k_end);
//! end

    // The elements that this thread computes; a warp covers 4 x 8 blocks.
    let quad_column = thread % 8u + thread / 32u % (GROUP / 32u) * 8u;
    let quad_row = thread / 8u % 4u + thread / GROUP * 4u;
//! for I in 0..GROUPS
//! for R in 0..4
//! for J in 0..GROUPS
    var sum_$I_$R_$J = vec4<f32>();
//! end
//! end
//! end

    for (var k = k_begin; k < k_end; k += $TILE_Ku) {
//! for J in 0..4
//! if HALVES
        if brings_a {
            tile_a[stage + $Ju * QUADS] = next[$J];
        } else {
            tile_b[stage + $Ju * QUADS] = next[$J];
        }
//! else
        tile_a[stage + $Ju * QUADS] = next_a[$J];
        tile_b[stage + $Ju * QUADS] = next_b[$J];
//! end
//! end
        workgroupBarrier();

        // Beyond the last slab this loads nothing.
//! if HALVES
        if brings_a {
            next = load_a(origin_a, k + $TILE_Ku + block_k, k_end);
        } else {
            next = load_b(origin_b, k + $TILE_Ku + block_k, k_end);
        }
//! else
        next_a = load_a(origin_a, k + $TILE_Ku + block_k, k_end);
        next_b = load_b(origin_b, k + $TILE_Ku + block_k, k_end);
//! end

//! for K in 0..TILE_K
        {
//! for I in 0..GROUPS
            let a$I = tile_a[$Ku * QUADS + $Iu * (GROUP / 4u) + quad_row];
//! end
//! for J in 0..GROUPS
            let b$J = tile_b[$Ku * QUADS + $Ju * (GROUP / 4u) + quad_column];
//! end
//! for I in 0..GROUPS
//! for R in 0..4
//! for J in 0..GROUPS
            sum_$I_$R_$J = fma(vec4<f32>(a$I[$R]), b$J, sum_$I_$R_$J);
//! end
//! end
//! end
        }
//! end
        workgroupBarrier();
    }

//! for I in 0..GROUPS
//! for R in 0..4
//! for J in 0..GROUPS
    store(tile.plane, row + $Iu * GROUP + 4u * quad_row + $Ru, column + $Ju * GROUP + 4u * quad_column, sum_$I_$R_$J);
//! end
//! end
//! end
}
