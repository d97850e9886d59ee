// The lowest action of the largest value of each row.
//
// Layout: q [rows, actions], action [rows]. A thread takes a row; threads stride over the rows. No workgroup memory, no
// barriers. Prepended: greedy.wgsl.
struct Immediates {
    rows: u32,
    actions: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read_write> action: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var row = id.x; row < imm.rows; row += groups.x * 64u) {
        let at = row * imm.actions;
        var best = 0u;
        for (var k = 1u; k < imm.actions; k++) {
            if (beats(q[at + k], q[at + best])) {
                best = k;
            }
        }
        action[row] = best;
    }
}
