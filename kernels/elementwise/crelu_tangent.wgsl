// y_tangent = concat(x_tangent where x > 0, -x_tangent where x < 0), else 0.
//
// x and x_tangent [rows, channels], y_tangent [rows, 2 channels], as vec4 where the channels are a multiple of four: `len`
// and `channels` count such elements. A thread takes one element of x at a time and strides over the grid. No workgroup
// memory.
struct Immediates {
    len: u32,
    channels: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<$ELEMENT>;
@group(0) @binding(1) var<storage, read> x_tangent: array<$ELEMENT>;
@group(0) @binding(2) var<storage, read_write> y_tangent: array<$ELEMENT>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let zero = $ELEMENT(0.0);
    for (var i = id.x; i < imm.len; i += groups.x * 256u) {
        let at = i + i / imm.channels * imm.channels;
        y_tangent[at] = select(zero, x_tangent[i], x[i] > zero);
        y_tangent[at + imm.channels] = select(zero, -x_tangent[i], x[i] < zero);
    }
}
