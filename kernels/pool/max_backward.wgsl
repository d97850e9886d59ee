
// dx = the sum of dy over the windows whose maximum is this pixel; the formula is in mod.rs.
@group(0) @binding(2) var<storage, read> argmax: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let total = imm.images * imm.height * imm.width * quads();
    for (var k = id.x; k < total; k += groups.x * 256u) {
        let at = place(k, imm.height, imm.width);
        let rows = outputs(at.row, imm.out_height);
        let columns = outputs(at.column, imm.out_width);
        var sum = vec4<f32>(0.0);
        for (var i = rows.x; i < rows.y; i++) {
            let u = at.row + PADDING - STRIDE * i;
            for (var j = columns.x; j < columns.y; j++) {
                let tap = u * KERNEL + at.column + PADDING - STRIDE * j;
                let pixel = (at.image * imm.out_height + i) * imm.out_width + j;
                let word = argmax[pixel * quads() + at.quad];
                let index = (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
                sum += select(vec4<f32>(0.0), load(pixel, at.quad), index == vec4<u32>(tap));
            }
        }
        store(k / quads(), at.quad, sum);
    }
}
