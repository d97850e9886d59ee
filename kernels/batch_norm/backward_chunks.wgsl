// Gradients of batch normalisation, stage 1 of 3: the sums of dz and of dz * xhat over every chunk of rows, where dz is
// dy, masked by y > 0 if RELU. If MASKS, dz takes the place of dy.
//
// Layout: x, y, dy [rows, C]; saved [2, C]: mean, then 1 / sqrt(var + eps); partials [chunks, 2, C];
// `first_chunk` is the number of the first chunk of this window. `Value` is vec4<f32> (C a multiple of 4) or f32; `units`
// Values make a row. A workgroup takes `chunk_rows` rows of WIDTH neighbouring Values: thread t takes Value t % WIDTH of
// every (256 / WIDTH)-th row.
// Workgroup memory: 8 KiB. Prepended: columns.wgsl, sums.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
    chunk_rows: u32,
    first_chunk: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read> saved: array<Value>;
@group(0) @binding(2) var<storage, read_write> partials: array<Value>;
//! if MASKS
@group(0) @binding(3) var<storage, read_write> dy: array<Value>;
//! else
@group(0) @binding(3) var<storage, read> dy: array<Value>;
//! end
//! if RELU
@group(0) @binding(4) var<storage, read> y: array<Value>;
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
        for (var row = first + thread / WIDTH; row < end; row += 256u / WIDTH) {
            let at = row * imm.units + column;
            var dz = dy[at];
//! if RELU
            dz = select(Value(0.0), dz, y[at] > Value(0.0));
//! end
//! if MASKS
            dy[at] = dz;
//! end
            sum += dz;
            product += dz * ((x[at] - mean) * inverse);
        }
    }
    sum_threads(thread, sum, product);
    if (thread < WIDTH && column < imm.units) {
        let at = 2u * (imm.first_chunk + group.y) * imm.units + column;
        partials[at] = sums[thread];
        partials[at + imm.units] = products[thread];
    }
}
