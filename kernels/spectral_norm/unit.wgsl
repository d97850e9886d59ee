// v divided by its length.
//
// Layout: v [inputs]. One workgroup: a thread takes every 256th element. Workgroup memory: 1,024 bytes (tree.wgsl,
// prepended).
struct Immediates {
    outputs: u32,
    inputs: u32,
    epsilon: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    var squares = 0.0;
    for (var i = thread; i < imm.inputs; i += 256u) {
        squares += v[i] * v[i];
    }
    let length = sqrt(sum_of_workgroup(thread, squares));
    // In this order a NaN stays a NaN.
    let divisor = select(length, imm.epsilon, length < imm.epsilon);
    for (var i = thread; i < imm.inputs; i += 256u) {
        v[i] /= divisor;
    }
}
