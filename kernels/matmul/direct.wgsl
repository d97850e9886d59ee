// C = A B for software drivers, after problem.wgsl, operand.wgsl (twice, or what reads another operand) and store.wgsl.
//
// Such a driver runs 8 or 16 threads in the lanes of one SIMD register and keeps workgroup memory no nearer than any
// other memory, so there is none here and no barrier. A thread computes BLOCKS x BLOCKS blocks of 4x4 elements of C from
// blocks of A and B that it reads itself. A load costs as much as a hundred multiplications: the more blocks the better,
// until the sums outgrow the first cache; a sum takes four k at a time, so that it is fetched and put back once.
// The sums have names of their own because the driver unrolls no loops. Workgroup memory: none.

@compute @workgroup_size($THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let index = (workgroup.x + workgroup.y * imm.grid_x) * $THREADSu + thread;
    if index >= imm.tiles {
        return;
    }
    let tile = tile_at(index);
    let row = tile.row * 4u * $BLOCKSu;
    let column = tile.column * 4u * $BLOCKSu;
//! for I in 0..BLOCKS
    let start_a$I = start_a(tile.batch, row + 4u * $Iu);
//! end
//! for J in 0..BLOCKS
    let start_b$J = start_b(tile.batch, column + 4u * $Ju);
//! end
//! for I in 0..BLOCKS
//! for R in 0..4
//! for J in 0..BLOCKS
    var sum_$I_$R_$J = vec4<f32>();
//! end
//! end
//! end

    for (var k = 0u; k < imm.k; k += 4u) {
//! for J in 0..BLOCKS
        let b$J = load_b(start_b$J, k, imm.k);
//! end
//! for I in 0..BLOCKS
        let a$I = load_a(start_a$I, k, imm.k);
//! for R in 0..4
//! for J in 0..BLOCKS
//! for K in 0..4
        sum_$I_$R_$J = fma(vec4<f32>(a$I[$K][$R]), b$J[$K], sum_$I_$R_$J);
//! end
//! end
//! end
//! end
    }

//! for I in 0..BLOCKS
//! for R in 0..4
//! for J in 0..BLOCKS
    store(tile.plane, row + $Iu * 4u + $Ru, column + $Ju * 4u, sum_$I_$R_$J);
//! end
//! end
//! end
}
