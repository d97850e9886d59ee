// The tangent of batch normalisation, stage 3 of 3: y' = weight u' + weight' u + bias'; the formulas are in tangent.rs.
//
// Layout: x, x_tangent, y_tangent [rows, C]; channel [6, C] from stage 2; bias_tangent [C]. `Value` is vec4<f32> (C a
// multiple of 4) or f32; `units` Values make a row. Thread t of a workgroup takes Value t % WIDTH of every
// (256 / WIDTH)-th row. No workgroup memory. Prepended: columns.wgsl.
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
@group(0) @binding(3) var<storage, read> bias_tangent: array<Value>;
@group(0) @binding(4) var<storage, read_write> y_tangent: array<Value>;

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
    let mean = channel[column];
    let inverse = channel[imm.units + column];
    let weight = channel[2u * imm.units + column];
    let weight_tangent = channel[3u * imm.units + column];
    let mean_tangent = channel[4u * imm.units + column];
    let mean_product = channel[5u * imm.units + column];
    let shift = bias_tangent[column];
    for (var row = group.y * height + thread / WIDTH; row < imm.rows; row += groups.y * height) {
        let at = row * imm.units + column;
        let u = (x[at] - mean) * inverse;
        let moved = inverse * (x_tangent[at] - mean_tangent - u * mean_product);
        y_tangent[at] = weight * moved + weight_tangent * u + shift;
    }
}
