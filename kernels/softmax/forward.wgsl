// p = softmax(scale x) of each row; `first_number` is the scale. Prepended: rows.wgsl.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> p: array<f32>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let rows_per_group = 128u / lanes;
    for (var first = group.x * rows_per_group; first < imm.rows; first += groups.x * rows_per_group) {
        let row = first + thread / lanes;
        // Threads without a row go along, for barriers are for all: they look at the last row and write nothing.
        let columns = select(0u, imm.columns, row < imm.rows);
        let at = min(row, imm.rows - 1u) * imm.columns;
        var most = x[at];
        for (var k = thread % lanes; k < columns; k += lanes) {
            most = max(most, x[at + k]);
        }
        let largest = largest_of_lanes(thread, most);
        var sum = 0.0;
        for (var k = thread % lanes; k < columns; k += lanes) {
            sum += exp(imm.first_number * (x[at + k] - largest));
        }
        let total = sum_of_lanes(thread, sum);
        for (var k = thread % lanes; k < columns; k += lanes) {
            p[at + k] = exp(imm.first_number * (x[at + k] - largest)) / total;
        }
    }
}
