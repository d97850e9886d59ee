// C = A B for software drivers, after problem.wgsl, operand.wgsl (twice) and store.wgsl.
//
// Such a driver runs 8 or 16 threads in the lanes of one SIMD register and keeps workgroup memory no nearer than any
// other memory, so there is none here and no barrier. A thread computes 4 ROWS x 4 COLUMNS elements of C from 4x4 blocks
// of A and B that it reads itself. The accumulators have names of their own because the driver unrolls no loops.
// Workgroup memory: none.

@compute @workgroup_size($THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let index = (workgroup.x + workgroup.y * imm.grid_x) * $THREADSu + thread;
    if index >= imm.tiles {
        return;
    }
    let tile = tile_at(index);
    let row = tile.row * 4u * $ROWSu;
    let column = tile.column * 4u * $COLUMNSu;
//! for I in 0..ROWS
    let start_a$I = start_a(tile.batch, row + 4u * $Iu);
//! end
//! for J in 0..COLUMNS
    let start_b$J = start_b(tile.batch, column + 4u * $Ju);
//! end
//! for I in 0..ROWS
//! for R in 0..4
//! for J in 0..COLUMNS
    var sum_$I_$R_$J = vec4<f32>();
//! end
//! end
//! end

    for (var k = 0u; k < imm.k; k += 4u) {
//! for J in 0..COLUMNS
        let b$J = load_b(start_b$J, k, imm.k);
//! end
//! for I in 0..ROWS
        let a$I = load_a(start_a$I, k, imm.k);
//! for K in 0..4
//! for R in 0..4
//! for J in 0..COLUMNS
        sum_$I_$R_$J = fma(vec4<f32>(a$I[$K][$R]), b$J[$K], sum_$I_$R_$J);
//! end
//! end
//! end
//! end
    }

//! for I in 0..ROWS
//! for R in 0..4
//! for J in 0..COLUMNS
    store(tile.plane, row + $Iu * 4u + $Ru, column + $Ju * 4u, sum_$I_$R_$J);
//! end
//! end
//! end
}
