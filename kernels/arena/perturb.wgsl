// target = keep * target + scale * fresh; the distribution of the fresh values is in perturb.rs.
//
// Layout: an arena of `blocks` times 64 floats read as vec4, and one vec4 per block that says how its values are drawn. A
// thread takes one vec4 at a time, whose four random words are one call of pcg4d, and strides over the grid; the 16
// threads of a block read the same description. No workgroup memory. Prepended: clock.wgsl, random.wgsl, math.wgsl.
struct Immediates {
    blocks: u32,
    // The first block of a window.
    first: u32,
    keep: f32,
    scale: f32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read_write> target_arena: array<vec4<f32>>;
// center, width, deviation, used
@group(0) @binding(1) var<storage, read> table: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    for (var i = id.x; i < imm.blocks * $VECTORSu; i += grid.x * 256u) {
        let fresh = table[i / $VECTORSu];
        let words = pcg4d(vec4<u32>(imm.first * $VECTORSu + i, imm.clock.step, $STREAMu, imm.clock.seed));
        let integers = words >> vec4<u32>(8u);
        let units = vec4<f32>(integers) * (1.0 / 16777216.0);
        var value = fresh.x + fresh.y * (2.0 * units - 1.0);
        if (fresh.z != 0.0) {
            value += fresh.z * vec4<f32>(normals(integers.x, integers.y), normals(integers.z, integers.w));
        }
        let old = target_arena[i];
        let at = vec4<f32>(f32(4u * (i % $VECTORSu))) + vec4<f32>(0.0, 1.0, 2.0, 3.0);
        target_arena[i] = select(old, imm.keep * old + imm.scale * value, at < vec4<f32>(fresh.w));
    }
}
