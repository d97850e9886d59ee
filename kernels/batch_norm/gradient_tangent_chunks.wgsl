// The tangents of the gradients of batch normalisation, stage 1 of 3: sums over every chunk of rows of dy, dy u, dy', dy' u
// and dy u'; the formulas are in tangent.rs.
//
// Layout: x, x_tangent, dy, dy_tangent [rows, C]; channel [6, C]; partials [chunks + 1, 5, C]; `first_chunk` is the number
// of the first chunk of this window. `Value` is vec4<f32> (C a multiple of 4) or f32; `units` Values make a row. A workgroup
// takes `chunk_rows` rows of WIDTH neighbouring Values: thread t takes Value t % WIDTH of every (256 / WIDTH)-th row.
// Workgroup memory: 8 KiB. Prepended: columns.wgsl, sums.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
    chunk_rows: u32,
    first_chunk: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read> x_tangent: array<Value>;
@group(0) @binding(2) var<storage, read> channel: array<Value>;
@group(0) @binding(3) var<storage, read> dy: array<Value>;
@group(0) @binding(4) var<storage, read> dy_tangent: array<Value>;
@group(0) @binding(5) var<storage, read_write> partials: array<Value>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    let first = group.y * imm.chunk_rows;
    let end = min(first + imm.chunk_rows, imm.rows);
    var sum = Value(0.0);
    var product = Value(0.0);
    var sum_tangent = Value(0.0);
    var product_tangent = Value(0.0);
    var product_moved = Value(0.0);
    if (column < imm.units) {
        let mean = channel[column];
        let inverse = channel[imm.units + column];
        let mean_tangent = channel[4u * imm.units + column];
        let mean_product = channel[5u * imm.units + column];
        for (var row = first + thread / WIDTH; row < end; row += 256u / WIDTH) {
            let at = row * imm.units + column;
            let u = (x[at] - mean) * inverse;
            let moved = inverse * (x_tangent[at] - mean_tangent - u * mean_product);
            sum += dy[at];
            product += dy[at] * u;
            sum_tangent += dy_tangent[at];
            product_tangent += dy_tangent[at] * u;
            product_moved += dy[at] * moved;
        }
    }
    let owner = thread < WIDTH && column < imm.units;
    let to = 5u * (imm.first_chunk + group.y) * imm.units + column;
    sum_threads(thread, sum, product);
    if (owner) {
        partials[to] = sums[thread];
        partials[to + imm.units] = products[thread];
    }
    workgroupBarrier();
    sum_threads(thread, sum_tangent, product_tangent);
    if (owner) {
        partials[to + 2u * imm.units] = sums[thread];
        partials[to + 3u * imm.units] = products[thread];
    }
    workgroupBarrier();
    sum_threads(thread, product_moved, Value(0.0));
    if (owner) {
        partials[to + 4u * imm.units] = sums[thread];
    }
}
