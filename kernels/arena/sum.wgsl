// Second stage of the squared distance: one workgroup adds the partial sums.
//
// A thread adds every 256th partial sum, the workgroup adds its threads in a tree (1,024 bytes, tree.wgsl).
struct Immediates {
    partials: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < imm.partials; i += 256u) {
        sum += partials[i];
    }
    let total = sum_of_workgroup(local, sum);
    if (local == 0u) {
        out[0] = total;
    }
}
