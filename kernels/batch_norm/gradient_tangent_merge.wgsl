// The tangents of the gradients of batch normalisation, stage 2 of 3: the sums of all chunks, and with them the tangents of
// the gradients of weight and bias; the formulas are in tangent.rs.
//
// Layout: partials [chunks + 1, 5, C], of which the last takes the sums; dweight_tangent, dbias_tangent [C]. `Value` is
// vec4<f32> (C a multiple of 4) or f32; `units` Values make a row. A workgroup owns WIDTH neighbouring Values: thread t adds
// Value t % WIDTH of every (256 / WIDTH)-th chunk, then a tree adds the threads.
// Workgroup memory: 8 KiB. Prepended: columns.wgsl, sums.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
    chunks: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read_write> partials: array<Value>;
@group(0) @binding(1) var<storage, read_write> dweight_tangent: array<Value>;
@group(0) @binding(2) var<storage, read_write> dbias_tangent: array<Value>;

// The threads' part of one of the five sums.
fn part(kind: u32, column: u32, thread: u32) -> Value {
    var total = Value(0.0);
    if (column < imm.units) {
        for (var chunk = thread / WIDTH; chunk < imm.chunks; chunk += 256u / WIDTH) {
            total += partials[(5u * chunk + kind) * imm.units + column];
        }
    }
    return total;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    let owner = thread < WIDTH && column < imm.units;
    let to = 5u * imm.chunks * imm.units + column;
    sum_threads(thread, part(0u, column, thread), part(1u, column, thread));
    if (owner) {
        partials[to] = sums[thread];
        partials[to + imm.units] = products[thread];
    }
    workgroupBarrier();
    sum_threads(thread, part(2u, column, thread), part(3u, column, thread));
    let product_tangent = products[thread];
    if (owner) {
        partials[to + 2u * imm.units] = sums[thread];
        partials[to + 3u * imm.units] = product_tangent;
        dbias_tangent[column] = sums[thread];
    }
    workgroupBarrier();
    sum_threads(thread, part(4u, column, thread), Value(0.0));
    if (owner) {
        partials[to + 4u * imm.units] = sums[thread];
        dweight_tangent[column] = product_tangent + sums[thread];
    }
}
