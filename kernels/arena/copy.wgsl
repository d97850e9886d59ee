// target = source, as integers so that every bit survives.
//
// Layout: two ranges of `len` words read as vec4. A thread copies four words, then strides by the whole grid.
// No workgroup memory.
struct Immediates {
    len: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read_write> target_arena: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let whole = imm.len / 4u;
    for (var i = id.x; i < whole; i += grid.x * 256u) {
        target_arena[i] = source[i];
    }
    // The last, partial vector; the padding behind it keeps what it holds.
    if (id.x == 0u && imm.len % 4u != 0u) {
        let inside = vec4<u32>(4u * whole) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
        target_arena[whole] = select(target_arena[whole], source[whole], inside);
    }
}
