
// y = the mean of each window, padding included; the formula is in mod.rs.
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let total = imm.images * imm.out_height * imm.out_width * quads();
    for (var k = id.x; k < total; k += groups.x * 256u) {
        let at = place(k, imm.out_height, imm.out_width);
        var sum = vec4<f32>(0.0);
        for (var u = 0u; u < KERNEL; u++) {
            // Above the image this wraps around to a large number.
            let row = STRIDE * at.row + u - PADDING;
            for (var v = 0u; v < KERNEL; v++) {
                let column = STRIDE * at.column + v - PADDING;
                if (row < imm.height && column < imm.width) {
                    sum += load((at.image * imm.height + row) * imm.width + column, at.quad);
                }
            }
        }
        store(k / quads(), at.quad, sum * (1.0 / f32(KERNEL * KERNEL)));
    }
}
