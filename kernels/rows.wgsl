// What shaders share that take the rows of [rows, columns] arrays: of a workgroup of 128 threads, `lanes` (a power of two)
// share a row, one for few columns, all for many. A lane takes every `lanes`-th column, a tree folds the lanes.
// Workgroups stride over the rows. Workgroup memory: 512 bytes.
struct Immediates {
    rows: u32,
    columns: u32,
    first_number: f32,
    second_number: f32,
}
var<immediate> imm: Immediates;

override lanes: u32 = 1u;

var<workgroup> folded: array<f32, 128>;

// The sum over the lanes of a row, for all of them. Everybody has to call it.
fn sum_of_lanes(thread: u32, value: f32) -> f32 {
    let lane = thread % lanes;
    // All have read what the array held before.
    workgroupBarrier();
    folded[thread] = value;
    for (var stride = lanes / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if (lane < stride) {
            folded[thread] += folded[thread + stride];
        }
    }
    workgroupBarrier();
    return folded[thread - lane];
}

// The largest value of the lanes of a row, likewise.
fn largest_of_lanes(thread: u32, value: f32) -> f32 {
    let lane = thread % lanes;
    workgroupBarrier();
    folded[thread] = value;
    for (var stride = lanes / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if (lane < stride) {
            folded[thread] = max(folded[thread], folded[thread + stride]);
        }
    }
    workgroupBarrier();
    return folded[thread - lane];
}

