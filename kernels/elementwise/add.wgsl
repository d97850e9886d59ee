// c = a + b.
//
// Every array holds `vectors` vec4 (the last one completed by padding). A thread takes one vec4 at a time and strides over
// the grid. No workgroup memory.
struct Immediates {
    vectors: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < imm.vectors; i += groups.x * 256u) {
        c[i] = a[i] + b[i];
    }
}
