
// y = the maximum of each window, argmax = where it is; the formula is in mod.rs.
@group(0) @binding(2) var<storage, read_write> argmax: array<u32>;

// By its bits: a comparison with itself may be optimised away.
fn is_nan(value: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let total = imm.images * imm.out_height * imm.out_width * quads();
    for (var k = id.x; k < total; k += groups.x * 256u) {
        let at = place(k, imm.out_height, imm.out_width);
        var best = vec4<f32>(0.0);
        var index = vec4<u32>(0u);
        var first = true;
        for (var u = 0u; u < KERNEL; u++) {
            // Above the image this wraps around to a large number.
            let row = STRIDE * at.row + u - PADDING;
            for (var v = 0u; v < KERNEL; v++) {
                let column = STRIDE * at.column + v - PADDING;
                if (row < imm.height && column < imm.width) {
                    let value = load((at.image * imm.height + row) * imm.width + column, at.quad);
                    let larger = (value > best) | is_nan(value) | vec4<bool>(first);
                    best = select(best, value, larger);
                    index = select(index, vec4<u32>(u * KERNEL + v), larger);
                    first = false;
                }
            }
        }
        let pixel = k / quads();
        store(pixel, at.quad, best);
        let inside = vec4<u32>(4u * at.quad) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.channels);
        index = select(vec4<u32>(0u), index, inside);
        argmax[k] = index.x | (index.y << 8u) | (index.z << 16u) | (index.w << 24u);
    }
}
