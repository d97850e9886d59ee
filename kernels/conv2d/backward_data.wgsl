// Operand B of backward_data, after geometry.wgsl, and where the rows of dx lie. The weight is [K, K, C, O]; B is
// [taps * O, C], so the weight is transposed within each tap.
//
//   WEIGHT_VEC4  O is a multiple of 4: loads are 16 bytes wide
//   GUARD        k may run beyond k_end: zeros are taken from there

//! if WEIGHT_VEC4
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
//! else
@group(0) @binding(1) var<storage, read> b: array<f32>;
//! end

alias Lines_b = vec4<u32>;

// Where the four channels of x from `outer` on begin in a tap; those beyond the last repeat it.
fn start_b(batch: u32, outer: u32) -> Lines_b {
    let last = vec4<u32>(imm.n - 1u);
    return min(vec4<u32>(outer) + vec4<u32>(0u, 1u, 2u, 3u), last) * u32(imm.geometry.channels);
}

fn weight_at(lines: Lines_b, k: u32) -> vec4<u32> {
    let tap = tap_at(i32(k));
    let index = imm.geometry.tap + imm.geometry.tap_y * tap.y + imm.geometry.tap_x * tap.x;
    return lines + u32(index * i32(imm.n) * imm.geometry.channels + tap.channel);
}

// Column j of the result holds the four columns of B at k + j.
fn load_b(lines: Lines_b, k: u32, k_end: u32) -> mat4x4<f32> {
    var block = mat4x4<f32>();
//! if WEIGHT_VEC4
//! if GUARD
    if k < k_end {
//! else
    {
//! end
        let at = weight_at(lines, k) / 4u;
        block = transpose(mat4x4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]));
    }
//! else
//! for J in 0..4
//! if GUARD
    if k + $Ju < k_end {
//! else
    {
//! end
        let at = weight_at(lines, k + $Ju);
        block[$J] = vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
    }
//! end
//! end
    return block;
}

// The pixel of dx that row m of the product is.
fn pixel_of_dx(row: u32) -> u32 {
    let pixels = pixels_at(vec4<i32>(i32(row)));
    let y = pixels.row.x * imm.geometry.stride + imm.geometry.out_y;
    let x = pixels.column.x * imm.geometry.stride + imm.geometry.out_x;
    return u32((pixels.image.x * imm.geometry.out_height + y) * imm.geometry.out_width + x);
}
