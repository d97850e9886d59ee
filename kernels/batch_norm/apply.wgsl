// y = (x - mean) / sqrt(var + eps) * weight + bias, plus the residual if RESIDUAL, then ReLU if RELU: stage 3 of 3 of
// training, with the saved mean and inverse deviation of the batch, or, if INFERENCE, with the running statistics.
//
// Layout: x, residual, y [rows, C]; saved [2, C]: mean, then inverse = 1 / sqrt(var + eps); all others [C]. Thread t of a
// workgroup takes Value t % WIDTH of every (256 / WIDTH)-th row, so it loads the parameters once. No workgroup memory.
// Prepended: columns.wgsl, normalise.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
//! if INFERENCE
    eps: f32,
//! end
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read> weight: array<Value>;
@group(0) @binding(2) var<storage, read> bias: array<Value>;
@group(0) @binding(3) var<storage, read_write> y: array<Value>;
//! if INFERENCE
@group(0) @binding(4) var<storage, read> running_mean: array<Value>;
@group(0) @binding(5) var<storage, read> running_var: array<Value>;
//! if RESIDUAL
@group(0) @binding(6) var<storage, read> residual: array<Value>;
//! end
//! else
@group(0) @binding(4) var<storage, read> saved: array<Value>;
//! if RESIDUAL
@group(0) @binding(5) var<storage, read> residual: array<Value>;
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
//! if INFERENCE
    let mean = running_mean[column];
    let scale = weight[column] * inverseSqrt(running_var[column] + imm.eps);
//! else
    let mean = saved[column];
    let scale = weight[column] * saved[imm.units + column];
//! end
    let shift = bias[column];
    for (var row = group.y * height + thread / WIDTH; row < imm.rows; row += groups.y * height) {
        normalise(row * imm.units + column, mean, scale, shift);
    }
}
