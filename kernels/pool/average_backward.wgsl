
// dx = the sum of dy / KERNEL² over the windows that contain this pixel; the formula is in mod.rs.
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let total = imm.images * imm.height * imm.width * quads();
    for (var k = id.x; k < total; k += groups.x * 256u) {
        let at = place(k, imm.height, imm.width);
        let rows = outputs(at.row, imm.out_height);
        let columns = outputs(at.column, imm.out_width);
        var sum = vec4<f32>(0.0);
        for (var i = rows.x; i < rows.y; i++) {
            for (var j = columns.x; j < columns.y; j++) {
                sum += load((at.image * imm.out_height + i) * imm.out_width + j, at.quad);
            }
        }
        store(k / quads(), at.quad, sum * (1.0 / f32(KERNEL * KERNEL)));
    }
}
