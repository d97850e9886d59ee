// y' = weight u' + weight' u + bias'. Prepended: rows.wgsl, normal.wgsl.
@group(0) @binding(4) var<storage, read> bias_tangent: array<f32>;
@group(0) @binding(5) var<storage, read_write> y_tangent: array<f32>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let rows_per_group = 128u / lanes;
    for (var first = group.x * rows_per_group; first < imm.rows; first += groups.x * rows_per_group) {
        let row = first + thread / lanes;
        // Threads without a row go along: barriers are for all.
        let columns = select(0u, imm.columns, row < imm.rows);
        let at = row * imm.columns;
        let fit = normal(thread, at, columns);
        for (var k = thread % lanes; k < columns; k += lanes) {
            let u = normal_at(fit, at + k);
            y_tangent[at + k] = weight[k] * u.y + weight_tangent[k] * u.x + bias_tangent[k];
        }
    }
}
