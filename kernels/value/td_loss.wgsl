// The loss of the action that was taken; the formula is in td_loss.rs.
//
// Layout: q, dq [rows, actions]; action, target, row_loss, td_error, weight [rows]. A thread takes a row; threads stride
// over the rows. No workgroup memory, no barriers. Prepended: criterion.wgsl.
struct Immediates {
    rows: u32,
    actions: u32,
    // Of the criterion.
    parameter: f32,
    // The bits of a NaN, which WGSL cannot write as a constant.
    nan: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> action: array<u32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
@group(0) @binding(3) var<storage, read_write> dq: array<f32>;
@group(0) @binding(4) var<storage, read_write> row_loss: array<f32>;
@group(0) @binding(5) var<storage, read_write> td_error: array<f32>;
//! if WEIGHTED
@group(0) @binding(6) var<storage, read> weight: array<f32>;
//! end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var row = id.x; row < imm.rows; row += groups.x * 64u) {
        let at = row * imm.actions;
        let taken = action[row];
        // An action that is none reads the last one, and counts as an error that is not finite.
        let error = targets[row] - q[at + min(taken, imm.actions - 1u)];
        let valid = taken < imm.actions && is_finite(error);
        let result = criterion(error, imm.parameter);
        var gradient = -result.y / f32(imm.rows);
//! if WEIGHTED
        gradient *= weight[row];
//! end
        let nan = bitcast<f32>(imm.nan);
        for (var k = 0u; k < imm.actions; k++) {
            dq[at + k] = select(nan, select(0.0, gradient, k == taken), valid);
        }
        row_loss[row] = select(nan, result.x, valid);
        td_error[row] = select(nan, error, valid);
    }
}
