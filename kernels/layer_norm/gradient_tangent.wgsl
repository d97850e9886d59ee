// dx' and the product of which dweight' is the sum over rows. Prepended: rows.wgsl, normal.wgsl.
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read> dy_tangent: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx_tangent: array<f32>;
@group(0) @binding(7) var<storage, read_write> product: array<f32>;

// g and g' + r g of an element, with r = -inverse mean(u x').
fn slopes(fit: Normal, at: u32, k: u32) -> vec2<f32> {
    let turn = weight_tangent[k] - fit.inverse * fit.mean_product * weight[k];
    return vec2<f32>(weight[k] * dy[at + k], weight[k] * dy_tangent[at + k] + turn * dy[at + k]);
}

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
        // Of g u, g u', g' + r g, (g' + r g) u.
        var sums = vec4<f32>(0.0);
        for (var k = thread % lanes; k < columns; k += lanes) {
            let u = normal_at(fit, at + k);
            let g = slopes(fit, at, k);
            sums += vec4<f32>(g.x * u.x, g.x * u.y, g.y, g.y * u.x);
        }
        let along = sum_of_lanes(thread, sums.x) * imm.second_number;
        let along_moved = sum_of_lanes(thread, sums.y) * imm.second_number;
        let mean = sum_of_lanes(thread, sums.z) * imm.second_number;
        let turned_along = sum_of_lanes(thread, sums.w) * imm.second_number;
        for (var k = thread % lanes; k < columns; k += lanes) {
            let u = normal_at(fit, at + k);
            let turned = slopes(fit, at, k).y;
            let dx = turned - mean - u.x * (turned_along + along_moved) - u.y * along;
            dx_tangent[at + k] = fit.inverse * dx;
            product[at + k] = dy_tangent[at + k] * u.x + dy[at + k] * u.y;
        }
    }
}
