// The loss of predictions that all have a target; the formula is in regression.rs.
//
// Layout: predicted, target, dpredicted [rows, columns]; row_loss, weight [rows]. Of a workgroup of 64 threads, `lanes`
// (a power of two) share a row: one for few columns, all for many. A lane takes every `lanes`-th column, a tree folds the
// lanes. Workgroups stride over the rows. Workgroup memory: 512 bytes. Prepended: criterion.wgsl.
struct Immediates {
    rows: u32,
    columns: u32,
    // Of the criterion.
    parameter: f32,
    // The bits of a NaN, which WGSL cannot write as a constant.
    nan: u32,
}
var<immediate> imm: Immediates;

override lanes: u32 = 1u;

@group(0) @binding(0) var<storage, read> predicted: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<storage, read_write> dpredicted: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
//! if WEIGHTED
@group(0) @binding(4) var<storage, read> weight: array<f32>;
//! end

var<workgroup> folded: array<f32, 64>;
// How many errors of the lanes are not finite: a sum of floats may lose a NaN, an integer does not.
var<workgroup> bad: array<u32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % lanes;
    let rows_per_group = 64u / lanes;
    let nan = bitcast<f32>(imm.nan);
    for (var first = group.x * rows_per_group; first < imm.rows; first += groups.x * rows_per_group) {
        let row = first + thread / lanes;
        // Threads without a row go along: barriers are for all.
        let columns = select(0u, imm.columns, row < imm.rows);
        let at = row * imm.columns;
        var scale = -1.0 / f32(imm.rows * imm.columns);
//! if WEIGHTED
        scale *= weight[min(row, imm.rows - 1u)];
//! end
        var sum = 0.0;
        var wrong = 0u;
        for (var k = lane; k < columns; k += lanes) {
            let error = targets[at + k] - predicted[at + k];
            let valid = is_finite(error);
            let result = criterion(error, imm.parameter);
            dpredicted[at + k] = select(nan, scale * result.y, valid);
            sum += select(0.0, result.x, valid);
            wrong += select(1u, 0u, valid);
        }
        folded[thread] = sum;
        bad[thread] = wrong;
        for (var stride = lanes / 2u; stride > 0u; stride /= 2u) {
            workgroupBarrier();
            if (lane < stride) {
                folded[thread] += folded[thread + stride];
                bad[thread] += bad[thread + stride];
            }
        }
        if (lane == 0u && columns > 0u) {
            row_loss[row] = select(nan, folded[thread] / f32(columns), bad[thread] == 0u);
        }
        // The next rows use the arrays again.
        workgroupBarrier();
    }
}
