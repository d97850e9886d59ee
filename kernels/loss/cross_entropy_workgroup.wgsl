// Softmax cross-entropy for many classes: one workgroup of 128 threads takes a row.
//
// Layout: logits, dlogits [rows, classes]; labels, row_loss, row_rank [rows]. Thread t takes every 128th class; a tree
// finds the maximum, a second one the sums and the rank. Workgroups stride over the rows. Workgroup memory: 1.5 KiB.
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

// Maxima, then sums.
var<workgroup> floats: array<f32, 128>;
var<workgroup> penalties: array<f32, 128>;
// Largest magnitudes, then ranks.
var<workgroup> words: array<u32, 128>;

// The bits without the sign: above 0x7f800000 for a NaN, equal to it for an infinity. Drivers may assume that floats are
// neither; bits they leave alone.
fn magnitude(value: f32) -> u32 {
    return bitcast<u32>(value) & 0x7fffffffu;
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var row = group.x; row < imm.rows; row += groups.x) {
        let at = row * imm.classes;
        let label = labels[row];

        var most = logits[at];
        var bits = 0u;
        for (var k = thread; k < imm.classes; k += 128u) {
            let logit = logits[at + k];
            most = max(most, logit);
            bits = max(bits, magnitude(logit));
        }
        floats[thread] = most;
        words[thread] = bits;
        for (var stride = 64u; stride > 0u; stride /= 2u) {
            workgroupBarrier();
            if (thread < stride) {
                floats[thread] = max(floats[thread], floats[thread + stride]);
                words[thread] = max(words[thread], words[thread + stride]);
            }
        }
        workgroupBarrier();
        let largest = floats[0];
        let valid = label < imm.classes && words[0] <= 0x7f800000u && magnitude(largest) < 0x7f800000u;
        // Everybody has read before the arrays are used again.
        workgroupBarrier();

        var sum = 0.0;
        var penalty = 0.0;
        var rank = 0u;
        var own = 0.0;
        if (valid) {
            own = logits[at + label];
            for (var k = thread; k < imm.classes; k += 128u) {
                let logit = logits[at + k];
                sum += exp(logit - largest);
                // Not always: a logit of minus infinity times 0 would be a NaN.
                if (imm.logit_penalty != 0.0) {
                    penalty += imm.logit_penalty * logit * logit;
                }
                rank += select(0u, 1u, logit > own || (logit == own && k < label));
            }
        }
        floats[thread] = sum;
        penalties[thread] = penalty;
        words[thread] = rank;
        for (var stride = 64u; stride > 0u; stride /= 2u) {
            workgroupBarrier();
            if (thread < stride) {
                floats[thread] += floats[thread + stride];
                penalties[thread] += penalties[thread + stride];
                words[thread] += words[thread + stride];
            }
        }
        workgroupBarrier();
        sum = floats[0];
        let nan = bitcast<f32>(imm.nan);
        for (var k = thread; k < imm.classes; k += 128u) {
            let logit = logits[at + k];
            let softmax = exp(logit - largest) / sum;
            var gradient = (softmax - select(0.0, 1.0, k == label)) / f32(imm.rows);
            if (imm.logit_penalty != 0.0) {
                gradient += 2.0 * imm.logit_penalty * logit / f32(imm.rows);
            }
            dlogits[at + k] = select(nan, gradient, valid);
        }
        if (thread == 0u) {
            row_loss[row] = select(nan, log(sum) + (largest - own) + penalties[0], valid);
            row_rank[row] = select(imm.classes, words[0], valid);
        }
        // The next row uses the arrays again.
        workgroupBarrier();
    }
}
