// The tangent of batch normalisation, stage 2 of 3: what the gradients and stage 3 need of each channel.
//
// Layout: partials [chunks, 2, C], sums of x' and of x' xhat over every chunk of rows; saved [2, C]: mean, then inverse;
// weight, weight_tangent [C]; channel [6, C]. `Value` is vec4<f32> (C a multiple of 4) or f32; `units` Values make a row.
// A workgroup owns WIDTH neighbouring Values: thread t adds Value t % WIDTH of every (256 / WIDTH)-th chunk, then a tree
// adds the threads. Workgroup memory: 8 KiB. Prepended: columns.wgsl, sums.wgsl, sum_chunks.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
    chunks: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> partials: array<Value>;
@group(0) @binding(1) var<storage, read> saved: array<Value>;
@group(0) @binding(2) var<storage, read> weight: array<Value>;
@group(0) @binding(3) var<storage, read> weight_tangent: array<Value>;
@group(0) @binding(4) var<storage, read_write> channel: array<Value>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    sum_chunks(column, thread);
    if (thread < WIDTH && column < imm.units) {
        channel[column] = saved[column];
        channel[imm.units + column] = saved[imm.units + column];
        channel[2u * imm.units + column] = weight[column];
        channel[3u * imm.units + column] = weight_tangent[column];
        channel[4u * imm.units + column] = sums[thread] / f32(imm.rows);
        channel[5u * imm.units + column] = products[thread] / f32(imm.rows);
    }
}
