// dweight and dbias [groups, width]: the partial sums [groups, chunks, 2, width], those of the chunks of a group added in
// order. A thread takes one column of a group, then strides over the groups; workgroup memory: none.
struct Immediates {
    width: u32,
    chunks: u32, // of a group
    groups: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(2) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    if id.x >= 2u * imm.width {
        return;
    }
    for (var group = id.y; group < imm.groups; group += grid.y) {
        var sum = 0.0;
        for (var chunk = group * imm.chunks; chunk < (group + 1u) * imm.chunks; chunk++) {
            sum += partial[chunk * 2u * imm.width + id.x];
        }
        if id.x < imm.width {
            dweight[group * imm.width + id.x] = sum;
        } else {
            dbias[group * imm.width + id.x - imm.width] = sum;
        }
    }
}
