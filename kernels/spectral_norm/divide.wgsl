// normalised = weight / sigma.
//
// Layout: weight, normalised [outputs, inputs]; sigma [1]. A thread takes an element; threads stride over the rest. No
// workgroup memory, no barriers.
struct Immediates {
    outputs: u32,
    inputs: u32,
    epsilon: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> sigma: array<f32>;
@group(0) @binding(2) var<storage, read_write> normalised: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < imm.outputs * imm.inputs; i += groups.x * 64u) {
        normalised[i] = weight[i] / sigma[0];
    }
}
