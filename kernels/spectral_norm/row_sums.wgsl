// sums = Σ over each row of dnormalised ∘ normalised.
//
// Layout: dnormalised, normalised [outputs, inputs]; sums [outputs]. A workgroup of 256 threads takes a row, a thread
// every 256th column; workgroups stride over the rows. Workgroup memory: 1,024 bytes (tree.wgsl, prepended).
struct Immediates {
    outputs: u32,
    inputs: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> dnormalised: array<f32>;
@group(0) @binding(1) var<storage, read> normalised: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var row = group.x; row < imm.outputs; row += groups.x) {
        var sum = 0.0;
        for (var at = row * imm.inputs + thread; at < (row + 1u) * imm.inputs; at += 256u) {
            sum += dnormalised[at] * normalised[at];
        }
        let all = sum_of_workgroup(thread, sum);
        if (thread == 0u) {
            sums[row] = all;
        }
        // All have read the tree before it is used again.
        workgroupBarrier();
    }
}
