// product = weightᵀ u, which a later launch divides by its length.
//
// Layout: weight [outputs, inputs], u [outputs], product [inputs]. A thread takes a column; threads stride over the rest.
// No workgroup memory, no barriers.
struct Immediates {
    outputs: u32,
    inputs: u32,
    epsilon: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read_write> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> product: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var column = id.x; column < imm.inputs; column += groups.x * 64u) {
        var sum = 0.0;
        for (var row = 0u; row < imm.outputs; row++) {
            sum += weight[row * imm.inputs + column] * u[row];
        }
        product[column] = sum;
    }
}
