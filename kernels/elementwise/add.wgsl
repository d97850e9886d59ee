// c = a + b.
//
// Every array holds `len` floats and is read as vec4. A thread takes one vec4 at a time and strides over the grid. No
// workgroup memory.
struct Immediates {
    len: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>;


@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let whole = imm.len / 4u;
    for (var i = id.x; i < whole; i += groups.x * 256u) {
        c[i] = a[i] + b[i];
    }
    // The last, partial vector; the padding behind it keeps what it holds.
    if (id.x == 0u && imm.len % 4u != 0u) {
        let inside = vec4<u32>(4u * whole) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
        c[whole] = select(c[whole], a[whole] + b[whole], inside);
    }
}
