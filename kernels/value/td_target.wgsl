// The targets of transitions; the formula is in td_target.rs.
//
// Layout: next_q, selector_q [rows, actions]; reward, discount, target [rows]. A thread takes a row; threads stride
// over the rows. No workgroup memory, no barriers. Prepended: greedy.wgsl.
struct Immediates {
    rows: u32,
    actions: u32,
    // The bits of a NaN, which WGSL cannot write as a constant.
    nan: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> next_q: array<f32>;
@group(0) @binding(1) var<storage, read> reward: array<f32>;
@group(0) @binding(2) var<storage, read> discount: array<f32>;
@group(0) @binding(3) var<storage, read_write> targets: array<f32>;
//! if DOUBLE
@group(0) @binding(4) var<storage, read> selector_q: array<f32>;
//! end

// The value by which an action is selected.
fn selector(at: u32) -> f32 {
//! if DOUBLE
    return selector_q[at];
//! else
    return next_q[at];
//! end
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var row = id.x; row < imm.rows; row += groups.x * 64u) {
        if (discount[row] == 0.0) {
            targets[row] = reward[row];
            continue;
        }
        let at = row * imm.actions;
        var best = 0u;
        var nan = false;
        for (var k = 0u; k < imm.actions; k++) {
            if (beats(selector(at + k), selector(at + best))) {
                best = k;
            }
            nan = nan || is_nan(next_q[at + k]) || is_nan(selector(at + k));
        }
        targets[row] = select(reward[row] + discount[row] * next_q[at + best], bitcast<f32>(imm.nan), nan);
    }
}
