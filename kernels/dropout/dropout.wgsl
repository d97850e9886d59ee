// y = x * mask / (1 - rate), where mask = unit(word) >= rate and word i is lane i % 4 of
// pcg4d(i / 4, clock.step, stream, clock.seed).
//
// x and y hold `len` floats and are read as vec4. A thread takes one vec4 at a time, whose four random words are one call
// of pcg4d, and strides over the grid. No workgroup memory. Prepended: clock.wgsl, random.wgsl.
struct Immediates {
    len: u32,
    // The counter of the first vec4: that of a window's start.
    first: u32,
    stream: u32,
    rate: f32,
    scale: f32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

fn dropout(i: u32) -> vec4<f32> {
    let words = pcg4d(vec4<u32>(imm.first + i, imm.clock.step, imm.stream, imm.clock.seed));
    let units = vec4<f32>(unit(words.x), unit(words.y), unit(words.z), unit(words.w));
    return select(vec4<f32>(0.0), x[i] * imm.scale, units >= vec4<f32>(imm.rate));
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let whole = imm.len / 4u;
    for (var i = id.x; i < whole; i += groups.x * 256u) {
        y[i] = dropout(i);
    }
    // The last, partial vector; the padding behind it keeps what it holds.
    if (id.x == 0u && imm.len % 4u != 0u) {
        let inside = vec4<u32>(4u * whole) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
        y[whole] = select(y[whole], dropout(whole), inside);
    }
}
