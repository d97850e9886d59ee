// dweight and dbias: the partial sums [chunks, 2, width] of all chunks, added in order. A thread takes one column; workgroup
// memory: none.
struct Immediates {
    width: u32,
    chunks: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(2) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= 2u * imm.width {
        return;
    }
    var sum = 0.0;
    for (var chunk = 0u; chunk < imm.chunks; chunk++) {
        sum += partial[chunk * 2u * imm.width + id.x];
    }
    if id.x < imm.width {
        dweight[id.x] = sum;
    } else {
        dbias[id.x - imm.width] = sum;
    }
}
