// Operand A of forward and backward_data, after geometry.wgsl: row m is the patch of the image under pixel m, [taps,
// channels] in a row of K, which is read in place.
//
//   VEC4   the image's channels are a multiple of 4, so four neighbouring k lie in one tap
//   GUARD  k may run beyond k_end: zeros are taken from there

// Where tap (0, 0) of four pixels reads: the element, and the position in the image.
struct Lines_a {
    start: vec4<i32>,
    y: vec4<i32>,
    x: vec4<i32>,
}

// Pixels beyond the last repeat it, so that loads need no test: what is computed from them is not stored.
fn start_a(batch: u32, outer: u32) -> Lines_a {
    let last = vec4<u32>(imm.m - 1u);
    let pixels = pixels_at(vec4<i32>(min(vec4<u32>(outer) + vec4<u32>(0u, 1u, 2u, 3u), last)));
    let y = pixels.row * imm.geometry.step + imm.geometry.origin_y;
    let x = pixels.column * imm.geometry.step + imm.geometry.origin_x;
    let position = (pixels.image * imm.geometry.height + y) * imm.geometry.width + x;
    return Lines_a(position * imm.geometry.channels, y, x);
}

// Where four pixels read at a tap, and whether that is inside of the image; the first element stands for those outside.
struct Place {
    at: vec4<u32>,
    inside: vec4<bool>,
}

fn place_at(lines: Lines_a, k: u32) -> Place {
    let tap = tap_at(i32(k));
    let y = tap.y * imm.geometry.tap_step;
    let x = tap.x * imm.geometry.tap_step;
    let inside = in_image(lines.y + y, lines.x + x);
    let offset = (y * imm.geometry.width + x) * imm.geometry.channels + tap.channel;
    return Place(vec4<u32>(select(vec4<i32>(), lines.start + offset, inside)), inside);
}

// Column j of the result holds the four rows of A at k + j.
fn load_a(lines: Lines_a, k: u32, k_end: u32) -> mat4x4<f32> {
    var block = mat4x4<f32>();
//! if VEC4
//! if GUARD
    if k < k_end {
//! else
    {
//! end
        let place = place_at(lines, k);
        let at = place.at / 4u;
        block = transpose(mat4x4<f32>(
//! for J in 0..4
            select(vec4<f32>(), a[at[$J]], place.inside[$J]),
//! end
        ));
    }
//! else
//! for J in 0..4
//! if GUARD
    if k + $Ju < k_end {
//! else
    {
//! end
        let place = place_at(lines, k + $Ju);
        let at = place.at;
        block[$J] = select(vec4<f32>(), vec4<f32>(a[at.x], a[at.y], a[at.z], a[at.w]), place.inside);
    }
//! end
//! end
    return block;
}
