// products = the scalar product of each row of a with b, which is one vector or has rows of its own.
//
// Layout: a [outputs, inputs], b [inputs] (b_row 0) or [outputs, inputs] (b_row inputs), products [outputs]. A workgroup
// of 256 threads takes a row, a thread every 256th column; workgroups stride over the rows. Workgroup memory: 1,024 bytes
// (tree.wgsl, prepended).
struct Immediates {
    outputs: u32,
    inputs: u32,
    // Words from one row of b to the next.
    b_row: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> products: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var row = group.x; row < imm.outputs; row += groups.x) {
        var sum = 0.0;
        for (var column = thread; column < imm.inputs; column += 256u) {
            sum += a[row * imm.inputs + column] * b[row * imm.b_row + column];
        }
        let all = sum_of_workgroup(thread, sum);
        if (thread == 0u) {
            products[row] = all;
        }
        // All have read the tree before it is used again.
        workgroupBarrier();
    }
}
