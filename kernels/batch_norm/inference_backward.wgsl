// Gradients of batch normalisation with running statistics: dx = weight * inverse * dz, where dz is dy, masked by y > 0 if
// RELU, and the sums of dz and of dz * xhat over every chunk of rows. dx takes the place of dy, or, if RESIDUAL, lies apart,
// and dz takes the place of dy.
//
// Layout: x, y, dy, dx [rows, C]; weight [C]; saved [2, C]: mean, then 1 / sqrt(var + eps); dweight and dbias [chunks, C],
// or, if PARTIALS, both interleaved as [chunks, 2, C] for backward_merge.wgsl. `first_chunk` is the number of the first
// chunk of this window. `Value` is vec4<f32> (C a multiple of 4) or f32; `units` Values make a row. A workgroup takes
// `chunk_rows` rows of WIDTH neighbouring Values: thread t takes Value t % WIDTH of every (256 / WIDTH)-th row.
// Workgroup memory: 8 KiB. Prepended: columns.wgsl, sums.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
    chunk_rows: u32,
    first_chunk: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read> weight: array<Value>;
@group(0) @binding(2) var<storage, read> saved: array<Value>;
//! if WRITES_DY
@group(0) @binding(3) var<storage, read_write> dy: array<Value>;
//! else
@group(0) @binding(3) var<storage, read> dy: array<Value>;
//! end
@group(0) @binding(4) var<storage, read_write> dweight: array<Value>;
//! if !PARTIALS
@group(0) @binding(5) var<storage, read_write> dbias: array<Value>;
//! end
//! if RESIDUAL
@group(0) @binding($DX) var<storage, read_write> dx: array<Value>;
//! end
//! if RELU
@group(0) @binding($Y) var<storage, read> y: array<Value>;
//! end

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    let first = group.y * imm.chunk_rows;
    let end = min(first + imm.chunk_rows, imm.rows);
    var sum = Value(0.0);
    var product = Value(0.0);
    if (column < imm.units) {
        let mean = saved[column];
        let inverse = saved[imm.units + column];
        let scale = weight[column] * inverse;
        for (var row = first + thread / WIDTH; row < end; row += 256u / WIDTH) {
            let at = row * imm.units + column;
            var dz = dy[at];
//! if RELU
            dz = select(Value(0.0), dz, y[at] > Value(0.0));
//! end
            sum += dz;
            product += dz * ((x[at] - mean) * inverse);
//! if RESIDUAL
            dx[at] = scale * dz;
//! if RELU
            dy[at] = dz;
//! end
//! else
            dy[at] = scale * dz;
//! end
        }
    }
    sum_threads(thread, sum, product);
    if (thread < WIDTH && column < imm.units) {
        let chunk = imm.first_chunk + group.y;
//! if PARTIALS
        dweight[2u * chunk * imm.units + column] = sums[thread];
        dweight[(2u * chunk + 1u) * imm.units + column] = products[thread];
//! else
        dbias[chunk * imm.units + column] = sums[thread];
        dweight[chunk * imm.units + column] = products[thread];
//! end
    }
}
