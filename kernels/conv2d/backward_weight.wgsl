// Operand A of backward_weight, after geometry.wgsl: row m is one tap and channel, [taps, channels] along M, and its
// terms are the pixels, along K. The image is read in place.
//
//   VEC4    the image's channels are a multiple of 4, so four neighbouring rows lie in one tap
//   GUARD   k may run beyond k_end: zeros are taken from there
//   GROUPS  a batch of products: the terms of each are the pixels of its own group of images

// How far the taps and channels of four rows lie from the first tap: in elements, and in the image.
struct Lines_a {
    offset: vec4<i32>,
    y: vec4<i32>,
    x: vec4<i32>,
//! if GROUPS
    first: i32, // pixel of the group
//! end
}

// Rows beyond the last repeat it, so that loads need no test: what is computed from them is not stored.
fn start_a(batch: u32, outer: u32) -> Lines_a {
    let rows = vec4<i32>(min(vec4<u32>(outer) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(imm.m - 1u)));
    let taps = quotient(rows, imm.geometry.channels, imm.geometry.per_channels);
    let taps_y = quotient(taps, imm.geometry.taps_x, imm.geometry.per_taps_x);
    let y = taps_y + imm.geometry.origin_y;
    let x = taps - taps_y * imm.geometry.taps_x + imm.geometry.origin_x;
    let channel = rows - taps * imm.geometry.channels;
    let offset = (y * imm.geometry.width + x) * imm.geometry.channels + channel;
//! if GROUPS
    return Lines_a(offset, y, x, i32(batch * imm.k));
//! else
    return Lines_a(offset, y, x);
//! end
}

// Column j of the result holds the four rows of A at k + j.
fn load_a(lines: Lines_a, k: u32, k_end: u32) -> mat4x4<f32> {
//! if GROUPS
    let pixels = pixels_at(vec4<i32>(lines.first + i32(k)) + vec4<i32>(0, 1, 2, 3));
//! else
    let pixels = pixels_at(vec4<i32>(i32(k)) + vec4<i32>(0, 1, 2, 3));
//! end
    let y = pixels.row * imm.geometry.step;
    let x = pixels.column * imm.geometry.step;
    let position = (pixels.image * imm.geometry.height + y) * imm.geometry.width + x;
    let start = position * imm.geometry.channels;
    var block = mat4x4<f32>();
//! if VEC4
    let inside = in_image(y + lines.y.x, x + lines.x.x);
    let at = vec4<u32>(select(vec4<i32>(), start + lines.offset.x, inside)) / 4u;
//! for J in 0..4
//! if GUARD
    if k + $Ju < k_end {
//! else
    {
//! end
        block[$J] = select(vec4<f32>(), a[at[$J]], inside[$J]);
    }
//! end
//! else
//! for J in 0..4
//! if GUARD
    if k + $Ju < k_end {
//! else
    {
//! end
        let inside = in_image(vec4<i32>(y[$J]) + lines.y, vec4<i32>(x[$J]) + lines.x);
        let at = vec4<u32>(select(vec4<i32>(), start[$J] + lines.offset, inside));
        block[$J] = select(vec4<f32>(), vec4<f32>(a[at.x], a[at.y], a[at.z], a[at.w]), inside);
    }
//! end
//! end
    return block;
}
