// rows[n, offset + c] = scale g[n, c].
//
// Layout: g [count, columns], rows [count, words]. Workgroups lie along the columns in x and along the rows in y, and stride
// over both; a thread takes one column. Workgroup memory: none.
struct Immediates {
    count: u32,
    columns: u32,
    words: u32,
    offset: u32,
    scale: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read_write> rows: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var n = id.y; n < imm.count; n += groups.y) {
        for (var c = id.x; c < imm.columns; c += groups.x * 256u) {
            rows[n * imm.words + imm.offset + c] = imm.scale * g[n * imm.columns + c];
        }
    }
}
