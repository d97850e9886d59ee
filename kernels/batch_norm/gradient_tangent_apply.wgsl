// The tangents of the gradients of batch normalisation, stage 3 of 3: dx'; the formula is in tangent.rs.
//
// Layout: x, x_tangent, dy, dy_tangent, dx_tangent [rows, C]; channel [6, C]; partials [chunks + 1, 5, C], of which the last
// are the sums of all. `Value` is vec4<f32> (C a multiple of 4) or f32; `units` Values make a row. Thread t of a workgroup
// takes Value t % WIDTH of every (256 / WIDTH)-th row. No workgroup memory. Prepended: columns.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
    // Rows of the whole array, of which this may be a window; and its chunks.
    all_rows: u32,
    chunks: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read> x_tangent: array<Value>;
@group(0) @binding(2) var<storage, read> channel: array<Value>;
@group(0) @binding(3) var<storage, read> dy: array<Value>;
@group(0) @binding(4) var<storage, read> dy_tangent: array<Value>;
@group(0) @binding(5) var<storage, read> partials: array<Value>;
@group(0) @binding(6) var<storage, read_write> dx_tangent: array<Value>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let column = column_of(group, thread);
    if (column >= imm.units) {
        return;
    }
    let height = 256u / WIDTH;
    let share = 1.0 / f32(imm.all_rows);
    let mean = channel[column];
    let inverse = channel[imm.units + column];
    let weight = channel[2u * imm.units + column];
    let mean_tangent = channel[4u * imm.units + column];
    let mean_product = channel[5u * imm.units + column];
    // g' + r g = weight dy' + turn dy, with r = -inverse mean(u x').
    let turn = channel[3u * imm.units + column] - inverse * mean_product * weight;
    let base = 5u * imm.chunks * imm.units + column;
    let sum = partials[base] * share;
    let product = partials[base + imm.units] * share;
    let sum_tangent = partials[base + 2u * imm.units] * share;
    let product_tangent = partials[base + 3u * imm.units] * share;
    let product_moved = partials[base + 4u * imm.units] * share;
    let constant = weight * sum_tangent + turn * sum;
    let along = weight * (product_tangent + product_moved) + turn * product;
    let along_moved = weight * product;
    for (var row = group.y * height + thread / WIDTH; row < imm.rows; row += groups.y * height) {
        let at = row * imm.units + column;
        let u = (x[at] - mean) * inverse;
        let moved = inverse * (x_tangent[at] - mean_tangent - u * mean_product);
        let slope = weight * dy_tangent[at] + turn * dy[at];
        dx_tangent[at] = inverse * (slope - constant - u * along - moved * along_moved);
    }
}
