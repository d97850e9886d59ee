// The mean of distributions over bins; the formula is in expected_value.rs.
//
// Layout: logits [rows, bins], value [rows]. A workgroup of 64 threads takes a row, a thread every 64th bin; workgroups
// stride over the rows. Workgroup memory: 512 bytes (softmax.wgsl, prepended).
struct Immediates {
    rows: u32,
    bins: u32,
    smallest: f32,
    spacing: f32,
    // The bits of a NaN, which WGSL cannot write as a constant.
    nan: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> value: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var row = group.x; row < imm.rows; row += groups.x) {
        let at = row * imm.bins;
        let p = softmax(thread, at, imm.bins);
        var places = 0.0;
        for (var b = thread; b < imm.bins; b += 64u) {
            places += exp(logits[at + b] - p.largest) * f32(b);
        }
        let place = sum_of_workgroup(thread, places) / p.sum;
        if (thread == 0u) {
            value[row] = select(bitcast<f32>(imm.nan), imm.smallest + imm.spacing * place, p.valid);
        }
    }
}
