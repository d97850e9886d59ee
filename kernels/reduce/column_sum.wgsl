// Sums over the rows of x [rows, C]: of the values, of their magnitudes, or of ones where they are not 0; ADD to what the
// sums are already. `Value` is vec4<f32> (C a multiple of 4) or f32; `units` Values make a row.
//
// A workgroup sums `chunk_rows` rows of WIDTH neighbouring Values: thread t takes Value t % WIDTH of every
// (256 / WIDTH)-th row, so neighbouring threads read neighbouring addresses; a tree then adds the threads of each column.
// With several chunks the partial sums [chunks, C] go to scratch and the same shader sums them in a second launch.
// Workgroup memory: 256 Values, 4 KiB.
struct Immediates {
    rows: u32,
    units: u32,
    chunk_rows: u32,
    // The row of the sums that the first chunk goes to.
    first_chunk: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read_write> sum: array<Value>;

var<workgroup> sums: array<Value, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = column_of(group, thread);
    let first = group.y * imm.chunk_rows;
    let end = min(first + imm.chunk_rows, imm.rows);
    var total = Value(0.0);
    if (column < imm.units) {
        for (var row = first + thread / WIDTH; row < end; row += 256u / WIDTH) {
            let value = x[row * imm.units + column];
//! if NON_ZERO
            total += select(Value(0.0), Value(1.0), value != Value(0.0));
//! else
//! if MAGNITUDE
            total += abs(value);
//! else
            total += value;
//! end
//! end
        }
    }
    sums[thread] = total;
    // Threads t and t + stride hold the same column: every stride is a multiple of WIDTH.
    for (var stride = 128u; stride >= WIDTH; stride /= 2u) {
        workgroupBarrier();
        if (thread < stride) {
            sums[thread] += sums[thread + stride];
        }
    }
    if (thread < WIDTH && column < imm.units) {
        let at = (imm.first_chunk + group.y) * imm.units + column;
//! if ADD
        sum[at] += sums[thread];
//! else
        sum[at] = sums[thread];
//! end
    }
}
