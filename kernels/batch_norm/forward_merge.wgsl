// Batch normalisation, stage 2 of 3: merges the statistics of the chunks, updates the running statistics.
//
// Layout: partials [chunks, 3, C] from stage 1; running_mean, running_var [C]; saved [2, C]. Means are merged relative to
// row 0 of the array. `Value` is vec4<f32> (C a multiple of 4) or f32; `units` Values make a row. A workgroup owns WIDTH
// neighbouring Values: thread t merges Value t % WIDTH of every (256 / WIDTH)-th chunk, then a tree merges the threads.
// Workgroup memory: 9 KiB. Prepended: columns.wgsl, statistics.wgsl, save.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
    chunk_rows: u32,
    chunks: u32,
    eps: f32,
    momentum: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> partials: array<Value>;
@group(0) @binding(1) var<storage, read_write> running_mean: array<Value>;
@group(0) @binding(2) var<storage, read_write> running_var: array<Value>;
@group(0) @binding(3) var<storage, read_write> saved: array<Value>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    var own = Statistics(0.0, Value(0.0), Value(0.0));
    var pivot = Value(0.0);
    if (column < imm.units) {
        pivot = partials[column];
        for (var chunk = thread / WIDTH; chunk < imm.chunks; chunk += 256u / WIDTH) {
            let count = min(imm.chunk_rows, imm.rows - chunk * imm.chunk_rows);
            let at = 3u * chunk * imm.units + column;
            let mean = (partials[at] - pivot) + partials[at + imm.units];
            own = merge(own, Statistics(f32(count), mean, partials[at + 2u * imm.units]));
        }
    }
    merge_threads(thread, own);
    if (thread < WIDTH && column < imm.units) {
        save(column, pivot + means[thread], m2s[thread]);
    }
}
