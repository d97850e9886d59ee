// y = concat(max(x, 0), max(-x, 0)), but a NaN stays one (max() may drop it).
//
// x [rows, channels] and y [rows, 2 channels], as vec4 where the channels are a multiple of four: `len` and `channels`
// count such elements. A thread takes one element of x at a time and strides over the grid. No workgroup memory.
struct Immediates {
    len: u32,
    channels: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<$ELEMENT>;
@group(0) @binding(1) var<storage, read_write> y: array<$ELEMENT>;

fn relu(value: $ELEMENT) -> $ELEMENT {
    return select(value, $ELEMENT(0.0), value < $ELEMENT(0.0));
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < imm.len; i += groups.x * 256u) {
        let at = i + i / imm.channels * imm.channels;
        y[at] = relu(x[i]);
        y[at + imm.channels] = relu(-x[i]);
    }
}
