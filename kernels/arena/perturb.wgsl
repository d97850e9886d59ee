// target = keep * target + scale * fresh; the distribution of the fresh values is in perturb.rs.
//
// Layout: an arena of `blocks` times 64 floats read as vec4, and one vec4 per block that says how its values are drawn. A
// thread takes one vec4 at a time, whose four random words are one call of pcg4d, and strides over the grid; the 16
// threads of a block read the same description. No workgroup memory. Prepended: clock.wgsl, random.wgsl.
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

// Two normal values from two uniform ones in [0, 1).
fn normals(units: vec2<f32>) -> vec2<f32> {
    // The logarithm of a number in (0, 1]; rounding must not make it positive.
    let radius = sqrt(max(-2.0 * log(units.x + 1.0 / 16777216.0), 0.0));
    // Within half a turn of 0, where sine and cosine are precise.
    let angle = 6.2831853 * (units.y - 0.5);
    return radius * vec2<f32>(cos(angle), sin(angle));
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    for (var i = id.x; i < imm.blocks * 16u; i += grid.x * 256u) {
        let fresh = table[i / 16u];
        let words = pcg4d(vec4<u32>(imm.first * 16u + i, imm.clock.step, 3u, imm.clock.seed));
        let units = vec4<f32>(unit(words.x), unit(words.y), unit(words.z), unit(words.w));
        var value = fresh.x + fresh.y * (2.0 * units - 1.0);
        if (fresh.z != 0.0) {
            value += fresh.z * vec4<f32>(normals(units.xy), normals(units.zw));
        }
        let old = target_arena[i];
        let at = vec4<f32>(f32(4u * (i % 16u))) + vec4<f32>(0.0, 1.0, 2.0, 3.0);
        target_arena[i] = select(old, imm.keep * old + imm.scale * value, at < vec4<f32>(fresh.w));
    }
}
