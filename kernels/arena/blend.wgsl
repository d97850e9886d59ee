// target = keep * target + (1 - keep) * source.
//
// Layout: two ranges of `len` floats read as vec4. A thread blends four floats, then strides by the whole grid.
// No workgroup memory.
struct Immediates {
    len: u32,
    keep: f32,
    one_minus_keep: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read_write> target_arena: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let vectors = (imm.len + 3u) / 4u;
    for (var i = id.x; i < vectors; i += grid.x * 256u) {
        let old = target_arena[i];
        let blended = imm.keep * old + imm.one_minus_keep * source[i];
        // The padding behind the last float keeps what it holds.
        let inside = vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
        target_arena[i] = select(old, blended, inside);
    }
}
