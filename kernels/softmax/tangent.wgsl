// y = scale p (a - sum(p a)) + shift a of each row; `first_number` is the scale, `second_number` the shift.
// Prepended: rows.wgsl.
@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let rows_per_group = 128u / lanes;
    for (var first = group.x * rows_per_group; first < imm.rows; first += groups.x * rows_per_group) {
        let row = first + thread / lanes;
        // Threads without a row go along: barriers are for all.
        let columns = select(0u, imm.columns, row < imm.rows);
        let at = row * imm.columns;
        var sum = 0.0;
        for (var k = thread % lanes; k < columns; k += lanes) {
            sum += p[at + k] * a[at + k];
        }
        let mean = sum_of_lanes(thread, sum);
        for (var k = thread % lanes; k < columns; k += lanes) {
            y[at + k] = imm.first_number * p[at + k] * (a[at + k] - mean) + imm.second_number * a[at + k];
        }
    }
}
