// y = x * mask / (1 - rate), where mask = unit(word) >= rate and word i is lane i % 4 of
// pcg4d(i / 4, clock.step, stream, clock.seed).
//
// x and y hold `vectors` vec4 (the last one completed by padding). A thread takes one vec4 at a time, whose four random
// words are one call of pcg4d, and strides over the grid. No workgroup memory. Prepended: clock.wgsl, random.wgsl.
struct Immediates {
    vectors: u32,
    stream: u32,
    rate: f32,
    scale: f32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < imm.vectors; i += groups.x * 256u) {
        let words = pcg4d(vec4<u32>(i, imm.clock.step, imm.stream, imm.clock.seed));
        let units = vec4<f32>(unit(words.x), unit(words.y), unit(words.z), unit(words.w));
        y[i] = select(vec4<f32>(0.0), x[i] * imm.scale, units >= vec4<f32>(imm.rate));
    }
}
