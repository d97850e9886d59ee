// y = mask gelu(x); with BACKWARD, dx = mask gelu'(x) dy.
//
// Every array holds `len` floats and is read as vec4. A thread takes one vec4 at a time, whose four random words are one
// call of the generator, and strides over the grid. No workgroup memory. Prepended: math.wgsl, and with MASK clock.wgsl,
// random.wgsl, mask.wgsl.
struct Immediates {
    len: u32,
    first: u32, // index of the first element / 4, counted over all launches
//! if MASK
    mask_stream: u32,
    mask_rate: f32,
    mask_scale: f32,
    clock: Clock,
//! end
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
//! if BACKWARD
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> to: array<vec4<f32>>;
//! else
@group(0) @binding(1) var<storage, read_write> to: array<vec4<f32>>;
//! end

fn result(i: u32) -> vec4<f32> {
    let value = x[i];
    let below = 0.5 * erf(value * 0.70710678) + 0.5;
//! if BACKWARD
    var result = (below + value * 0.3989423 * exp(-0.5 * value * value)) * dy[i];
//! else
    var result = value * below;
//! end
//! if MASK
    let mask = DropoutMask(imm.mask_stream, imm.mask_rate, imm.mask_scale);
    let factors = dropout_factors(mask, imm.clock.step, imm.clock.seed, imm.first + i);
    // Not a plain product: what is dropped is 0 even if the value is not finite.
    result = select(vec4<f32>(), result * factors, factors > vec4<f32>());
//! end
    return result;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let whole = imm.len / 4u;
    for (var i = id.x; i < whole; i += groups.x * 256u) {
        to[i] = result(i);
    }
    // The last, partial vector; the padding behind it keeps what it holds.
    if id.x == 0u && imm.len % 4u != 0u {
        let inside = vec4<u32>(4u * whole) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
        to[whole] = select(to[whole], result(whole), inside);
    }
}
