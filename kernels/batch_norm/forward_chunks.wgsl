// Batch normalisation, stage 1 of 3: the statistics of every chunk of rows.
//
// Layout: x [rows, C]; partials [chunks, 3, C]: the chunk's first row, the mean relative to it, the sum of squared
// distances from the mean; `first_chunk` is the number of the first chunk of this window. `Value` is vec4<f32> (C a
// multiple of 4) or f32; `units` Values make a row. A workgroup takes `chunk_rows` rows of WIDTH neighbouring Values:
// thread t takes Value t % WIDTH of every (256 / WIDTH)-th row.
// Workgroup memory: 9 KiB. Prepended: columns.wgsl, statistics.wgsl.
struct Immediates {
    rows: u32,
    units: u32,
    chunk_rows: u32,
    first_chunk: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read_write> partials: array<Value>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    let first = group.y * imm.chunk_rows;
    let end = min(first + imm.chunk_rows, imm.rows);
    var own = Statistics(0.0, Value(0.0), Value(0.0));
    var pivot = Value(0.0);
    if (column < imm.units) {
        pivot = x[first * imm.units + column];
        for (var row = first + thread / WIDTH; row < end; row += 256u / WIDTH) {
            own = include(own, x[row * imm.units + column] - pivot);
        }
    }
    merge_threads(thread, own);
    if (thread < WIDTH && column < imm.units) {
        let at = 3u * (imm.first_chunk + group.y) * imm.units + column;
        partials[at] = pivot;
        partials[at + imm.units] = means[thread];
        partials[at + 2u * imm.units] = m2s[thread];
    }
}
