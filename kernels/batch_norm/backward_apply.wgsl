// Gradients of batch normalisation, stage 3 of 3: dx = weight * inverse * (dz - dbias / rows - xhat * dweight / rows),
// where dz is dy, masked by y > 0 if RELU. dx takes the place of dy; if RESIDUAL, dy holds dz already and dx lies apart.
//
// Layout: x, y, dy, dx [rows, C]; weight, dweight, dbias [C]; saved [2, C]: mean, then 1 / sqrt(var + eps). `Value` is
// vec4<f32> (C a multiple of 4) or f32; `units` Values make a row. Thread t of a workgroup takes Value t % WIDTH of every
// (256 / WIDTH)-th row, so it loads the parameters once. No workgroup memory.
struct Immediates {
    rows: u32,
    units: u32,
    // Rows of the whole array, of which this may be a window.
    all_rows: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read> weight: array<Value>;
@group(0) @binding(2) var<storage, read> saved: array<Value>;
@group(0) @binding(3) var<storage, read> dweight: array<Value>;
@group(0) @binding(4) var<storage, read> dbias: array<Value>;
//! if RESIDUAL
@group(0) @binding(5) var<storage, read> dy: array<Value>;
@group(0) @binding(6) var<storage, read_write> dx: array<Value>;
//! else
@group(0) @binding(5) var<storage, read_write> dy: array<Value>;
//! if RELU
@group(0) @binding(6) var<storage, read> y: array<Value>;
//! end
//! end

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
    let mean = saved[column];
    let inverse = saved[imm.units + column];
    let scale = weight[column] * inverse;
    let mean_sum = dbias[column] / f32(imm.all_rows);
    let mean_product = dweight[column] / f32(imm.all_rows);
    for (var row = group.y * height + thread / WIDTH; row < imm.rows; row += groups.y * height) {
        let at = row * imm.units + column;
        let along = mean_sum + (x[at] - mean) * inverse * mean_product;
//! if RESIDUAL
        dx[at] = scale * (dy[at] - along);
//! else
        var dz = dy[at];
//! if RELU
        dz = select(Value(0.0), dz, y[at] > Value(0.0));
//! end
        dy[at] = scale * (dz - along);
//! end
    }
}
