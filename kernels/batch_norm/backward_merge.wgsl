// Gradients of batch normalisation, stage 2 of 3: dbias and dweight from the sums of the chunks.
//
// Layout: partials [chunks, 2, C] from stage 1; dweight, dbias [C]. `Value` is vec4<f32> (C a multiple of 4) or f32;
// `units` Values make a row. A workgroup owns WIDTH neighbouring Values: thread t adds Value t % WIDTH of every
// (256 / WIDTH)-th chunk, then a tree adds the threads.
// Workgroup memory: 8 KiB. Prepended: columns.wgsl, sums.wgsl, sum_chunks.wgsl.
struct Immediates {
    units: u32,
    chunks: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> partials: array<Value>;
@group(0) @binding(1) var<storage, read_write> dweight: array<Value>;
@group(0) @binding(2) var<storage, read_write> dbias: array<Value>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    sum_chunks(column, thread);
    if (thread < WIDTH && column < imm.units) {
        dbias[column] = sums[thread];
        dweight[column] = products[thread];
    }
}
