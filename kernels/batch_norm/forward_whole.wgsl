// Batch normalisation of up to 1,024 rows in one launch: statistics, running statistics, y.
//
// Layout: x, residual, y [rows, C]; weight, bias, running_mean, running_var [C]; saved [2, C]. `Value` is vec4<f32> (C a
// multiple of 4) or f32; `units` Values make a row. A workgroup owns WIDTH neighbouring Values of every row: thread t
// takes Value t % WIDTH of every (256 / WIDTH)-th row, first for the statistics, then (from the cache) to normalise.
// Workgroup memory: 9 KiB. Prepended: columns.wgsl, statistics.wgsl, save.wgsl, normalise.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
    eps: f32,
    momentum: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read> weight: array<Value>;
@group(0) @binding(2) var<storage, read> bias: array<Value>;
@group(0) @binding(3) var<storage, read_write> running_mean: array<Value>;
@group(0) @binding(4) var<storage, read_write> running_var: array<Value>;
@group(0) @binding(5) var<storage, read_write> y: array<Value>;
@group(0) @binding(6) var<storage, read_write> saved: array<Value>;
//! if RESIDUAL
@group(0) @binding(7) var<storage, read> residual: array<Value>;
//! end

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    let inside = column < imm.units;
    var own = Statistics(0.0, Value(0.0), Value(0.0));
    var pivot = Value(0.0);
    if (inside) {
        pivot = x[column];
        for (var row = thread / WIDTH; row < imm.rows; row += 256u / WIDTH) {
            own = include(own, x[row * imm.units + column] - pivot);
        }
    }
    merge_threads(thread, own);
    workgroupBarrier();
    if (!inside) {
        return;
    }
    let mean = pivot + means[thread % WIDTH];
    let m2 = m2s[thread % WIDTH];
    if (thread < WIDTH) {
        save(column, mean, m2);
    }
    let scale = weight[column] * inverseSqrt(m2 / f32(imm.rows) + imm.eps);
    let shift = bias[column];
    for (var row = thread / WIDTH; row < imm.rows; row += 256u / WIDTH) {
        normalise(row * imm.units + column, mean, scale, shift);
    }
}
