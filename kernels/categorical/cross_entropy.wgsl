// Cross-entropy of the distribution of the action that was taken; the formula is in cross_entropy.rs.
//
// Layout: logits, dlogits [rows, actions, bins]; distribution [rows, bins]; action, row_loss, weight [rows]. A workgroup
// of 64 threads takes a row, a thread every 64th word; workgroups stride over the rows. Workgroup memory: 512 bytes
// (softmax.wgsl, prepended).
struct Immediates {
    rows: u32,
    actions: u32,
    bins: u32,
    // The bits of a NaN, which WGSL cannot write as a constant.
    nan: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> action: array<u32>;
@group(0) @binding(2) var<storage, read> distribution: array<f32>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(4) var<storage, read_write> row_loss: array<f32>;
//! if WEIGHTED
@group(0) @binding(5) var<storage, read> weight: array<f32>;
//! end

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let nan = bitcast<f32>(imm.nan);
    for (var row = group.x; row < imm.rows; row += groups.x) {
        let taken = action[row];
        let start = row * imm.actions * imm.bins;
        // An action that is none reads the last one, whose logits are not used.
        let at = start + min(taken, imm.actions - 1u) * imm.bins;
        let p = softmax(thread, at, imm.bins);
        var aligned = 0.0;
        var wrong = 0.0;
        for (var b = thread; b < imm.bins; b += 64u) {
            let mass = distribution[row * imm.bins + b];
            aligned += mass * (logits[at + b] - p.largest);
            wrong += select(1.0, 0.0, is_finite(mass));
        }
        aligned = sum_of_workgroup(thread, aligned);
        let valid = sum_of_workgroup(thread, wrong) == 0.0 && p.valid && taken < imm.actions;
        var scale = 1.0 / f32(imm.rows);
//! if WEIGHTED
        scale *= weight[row];
//! end
        for (var k = thread; k < imm.actions * imm.bins; k += 64u) {
            // Words before those of the action wrap around to large numbers.
            let b = start + k - at;
            var gradient = 0.0;
            if (b < imm.bins) {
                gradient = scale * (exp(logits[at + b] - p.largest) / p.sum - distribution[row * imm.bins + b]);
            }
            dlogits[start + k] = select(nan, gradient, valid);
        }
        if (thread == 0u) {
            row_loss[row] = select(nan, log(p.sum) - aligned, valid);
        }
    }
}
