// Softmax cross-entropy for few classes: one thread takes a whole row.
//
// Layout: logits, dlogits [rows, classes]; labels, row_loss, row_rank [rows]. Threads stride over the rows. No workgroup
// memory, no barriers.
struct Immediates {
    rows: u32,
    classes: u32,
    // The bits of a NaN, which WGSL cannot write as a constant.
    nan: u32,
    // The coefficient of the squared logits.
    logit_penalty: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> row_rank: array<u32>;

// The bits without the sign: above 0x7f800000 for a NaN, equal to it for an infinity. Drivers may assume that floats are
// neither; bits they leave alone.
fn magnitude(value: f32) -> u32 {
    return bitcast<u32>(value) & 0x7fffffffu;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var row = id.x; row < imm.rows; row += groups.x * 64u) {
        let at = row * imm.classes;
        let label = labels[row];
        var largest = logits[at];
        var valid = label < imm.classes;
        for (var k = 0u; k < imm.classes; k++) {
            let logit = logits[at + k];
            largest = max(largest, logit);
            valid = valid && magnitude(logit) <= 0x7f800000u;
        }
        valid = valid && magnitude(largest) < 0x7f800000u;
        if (!valid) {
            let nan = bitcast<f32>(imm.nan);
            for (var k = 0u; k < imm.classes; k++) {
                dlogits[at + k] = nan;
            }
            row_loss[row] = nan;
            row_rank[row] = imm.classes;
            continue;
        }
        let own = logits[at + label];
        var sum = 0.0;
        var rank = 0u;
        for (var k = 0u; k < imm.classes; k++) {
            let logit = logits[at + k];
            sum += exp(logit - largest);
            rank += select(0u, 1u, logit > own || (logit == own && k < label));
        }
        var loss = log(sum) + (largest - own);
        for (var k = 0u; k < imm.classes; k++) {
            let softmax = exp(logits[at + k] - largest) / sum;
            dlogits[at + k] = (softmax - select(0.0, 1.0, k == label)) / f32(imm.rows);
        }
        // Not always: a logit of minus infinity times 0 would be a NaN.
        if (imm.logit_penalty != 0.0) {
            for (var k = 0u; k < imm.classes; k++) {
                let logit = logits[at + k];
                dlogits[at + k] += 2.0 * imm.logit_penalty * logit / f32(imm.rows);
                loss += imm.logit_penalty * logit * logit;
            }
        }
        row_loss[row] = loss;
        row_rank[row] = rank;
    }
}
