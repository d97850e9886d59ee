// y = (x - running_mean) / sqrt(running_var + eps) * weight + bias, plus the residual if RESIDUAL, then ReLU
// if RELU.
//
// Layout: x, residual, y [rows, C]; all others [C]. `Value` is vec4<f32> (C a multiple of 4) or f32; `units` Values make a
// row. Thread t of a workgroup takes Value t % WIDTH of every (256 / WIDTH)-th row, so it loads the parameters once.
// No workgroup memory.
struct Immediates {
    rows: u32,
    units: u32,
    eps: f32,
}
var<immediate> imm: Immediates;

override WIDTH: u32 = 8u;
override RELU: bool = false;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read> weight: array<Value>;
@group(0) @binding(2) var<storage, read> bias: array<Value>;
@group(0) @binding(3) var<storage, read> running_mean: array<Value>;
@group(0) @binding(4) var<storage, read> running_var: array<Value>;
@group(0) @binding(5) var<storage, read_write> y: array<Value>;
//! if RESIDUAL
@group(0) @binding(6) var<storage, read> residual: array<Value>;
//! end

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let column = (group.z * 65535u + group.x) * WIDTH + thread % WIDTH;
    if (column >= imm.units) {
        return;
    }
    let height = 256u / WIDTH;
    let mean = running_mean[column];
    let scale = weight[column] * inverseSqrt(running_var[column] + imm.eps);
    let shift = bias[column];
    for (var row = group.y * height + thread / WIDTH; row < imm.rows; row += groups.y * height) {
        let at = row * imm.units + column;
        var value = (x[at] - mean) * scale + shift;
//! if RESIDUAL
        value += residual[at];
//! end
        if (RELU) {
            // Not max(): a NaN must stay one.
            value = select(value, Value(0.0), value < Value(0.0));
        }
        y[at] = value;
    }
}
