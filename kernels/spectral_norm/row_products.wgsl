// product = weight v.
//
// Layout: weight [outputs, inputs], v [inputs], product [outputs]. A workgroup of 256 threads takes a row, a thread every
// 256th column; workgroups stride over the rows. Workgroup memory: 1,024 bytes (tree.wgsl, prepended).
struct Immediates {
    outputs: u32,
    inputs: u32,
    epsilon: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read_write> product: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var row = group.x; row < imm.outputs; row += groups.x) {
        var sum = 0.0;
        for (var column = thread; column < imm.inputs; column += 256u) {
            sum += weight[row * imm.inputs + column] * v[column];
        }
        let all = sum_of_workgroup(thread, sum);
        if (thread == 0u) {
            product[row] = all;
        }
        // All have read the tree before it is used again.
        workgroupBarrier();
    }
}
