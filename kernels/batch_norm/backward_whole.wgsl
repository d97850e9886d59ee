// Gradients of batch normalisation of up to 1,024 rows in one launch. dz is dy, masked by y > 0 if RELU; dx takes the
// place of dy, or, if RESIDUAL, lies apart, and dz takes the place of dy.
//
// Layout: x, y, dy, dx [rows, C]; weight, dweight, dbias [C]; saved [2, C]: mean, then 1 / sqrt(var + eps). `Value` is
// vec4<f32> (C a multiple of 4) or f32; `units` Values make a row. A workgroup owns WIDTH neighbouring Values of every
// row: thread t takes Value t % WIDTH of every (256 / WIDTH)-th row, first for the sums, then (from the cache) for dx.
// Workgroup memory: 8 KiB. Prepended: columns.wgsl, sums.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read> weight: array<Value>;
@group(0) @binding(2) var<storage, read> saved: array<Value>;
@group(0) @binding(3) var<storage, read_write> dweight: array<Value>;
@group(0) @binding(4) var<storage, read_write> dbias: array<Value>;
//! if RESIDUAL
//! if RELU
@group(0) @binding(5) var<storage, read_write> dy: array<Value>;
@group(0) @binding(7) var<storage, read> y: array<Value>;
//! else
@group(0) @binding(5) var<storage, read> dy: array<Value>;
//! end
@group(0) @binding(6) var<storage, read_write> dx: array<Value>;
//! else
@group(0) @binding(5) var<storage, read_write> dy: array<Value>;
//! if RELU
@group(0) @binding(6) var<storage, read> y: array<Value>;
//! end
//! end

fn masked(at: u32) -> Value {
//! if RELU
    return select(Value(0.0), dy[at], y[at] > Value(0.0));
//! else
    return dy[at];
//! end
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    let inside = column < imm.units;
    var mean = Value(0.0);
    var inverse = Value(0.0);
    var sum = Value(0.0);
    var product = Value(0.0);
    if (inside) {
        mean = saved[column];
        inverse = saved[imm.units + column];
        for (var row = thread / WIDTH; row < imm.rows; row += 256u / WIDTH) {
            let at = row * imm.units + column;
            let dz = masked(at);
            sum += dz;
            product += dz * ((x[at] - mean) * inverse);
        }
    }
    sum_threads(thread, sum, product);
    workgroupBarrier();
    if (!inside) {
        return;
    }
    sum = sums[thread % WIDTH];
    product = products[thread % WIDTH];
    if (thread < WIDTH) {
        dbias[column] = sum;
        dweight[column] = product;
    }
    let scale = weight[column] * inverse;
    let mean_sum = sum / f32(imm.rows);
    let mean_product = product / f32(imm.rows);
    for (var row = thread / WIDTH; row < imm.rows; row += 256u / WIDTH) {
        let at = row * imm.units + column;
        let dz = masked(at);
        let gradient = scale * (dz - mean_sum - (x[at] - mean) * inverse * mean_product);
//! if RESIDUAL
        dx[at] = gradient;
//! if RELU
        dy[at] = dz;
//! end
//! else
        dy[at] = gradient;
//! end
    }
}
