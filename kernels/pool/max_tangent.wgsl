
// y_tangent = the element of x_tangent where the maximum of each window lies; the formula is in mod.rs.
@group(0) @binding(2) var<storage, read> argmax: array<u32>;

// The pixel that is `tap` of the window of the output at a place. Lanes behind the last channel may mean one outside of the
// image: they look at its last row or column, and nobody stores what they find.
fn pixel_of(at: Place, tap: u32) -> u32 {
    let row = min(STRIDE * at.row + tap / KERNEL - PADDING, imm.height - 1u);
    let column = min(STRIDE * at.column + tap % KERNEL - PADDING, imm.width - 1u);
    return (at.image * imm.height + row) * imm.width + column;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let total = imm.images * imm.out_height * imm.out_width * quads();
    for (var k = id.x; k < total; k += groups.x * 256u) {
        let at = place(k, imm.out_height, imm.out_width);
        let word = argmax[k];
        let value = vec4<f32>(
            load(pixel_of(at, word & 255u), at.quad).x,
            load(pixel_of(at, (word >> 8u) & 255u), at.quad).y,
            load(pixel_of(at, (word >> 16u) & 255u), at.quad).z,
            load(pixel_of(at, word >> 24u), at.quad).w,
        );
        store(k / quads(), at.quad, value);
    }
}
