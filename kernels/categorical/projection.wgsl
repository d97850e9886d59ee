// The distributions of returns, brought back to the bins; the formula is in projection.rs.
//
// Layout: logits [rows, actions, bins]; action, reward, discount [rows]; distribution [rows, bins]. A workgroup of 64
// threads takes a row, a thread every 64th bin, to which it adds the masses that overlap it; workgroups stride over the
// rows. Workgroup memory: 512 bytes (softmax.wgsl, prepended).
struct Immediates {
    rows: u32,
    actions: u32,
    bins: u32,
    smallest: f32,
    // 1 / Δ
    per_spacing: f32,
    // The bits of a NaN, which WGSL cannot write as a constant.
    nan: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> action: array<u32>;
@group(0) @binding(2) var<storage, read> reward: array<f32>;
@group(0) @binding(3) var<storage, read> discount: array<f32>;
@group(0) @binding(4) var<storage, read_write> distribution: array<f32>;

// How much of the mass at a place, counted in bins and not yet clipped, belongs to bin b.
fn overlap(place: f32, b: u32) -> f32 {
    let clipped = clamp(place, 0.0, f32(imm.bins - 1u));
    return max(0.0, 1.0 - abs(clipped - f32(b)));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var row = group.x; row < imm.rows; row += groups.x) {
        let next = action[row];
        // An action that is none reads the last one, whose masses are not used.
        let at = (row * imm.actions + min(next, imm.actions - 1u)) * imm.bins;
        let p = softmax(thread, at, imm.bins);
        let factor = discount[row];
        let ends = factor == 0.0;
        let valid = is_finite(reward[row]) && is_finite(factor) && (ends || (p.valid && next < imm.actions));
        // Places of the reward, and of the reward with the first bin.
        let start = (reward[row] - imm.smallest) * imm.per_spacing;
        let first = start + factor * imm.smallest * imm.per_spacing;
        for (var b = thread; b < imm.bins; b += 64u) {
            var mass = 0.0;
            if (ends) {
                mass = overlap(start, b);
            } else {
                for (var j = 0u; j < imm.bins; j++) {
                    let share = overlap(first + factor * f32(j), b);
                    if (share > 0.0) {
                        mass += share * exp(logits[at + j] - p.largest);
                    }
                }
                mass /= p.sum;
            }
            distribution[row * imm.bins + b] = select(bitcast<f32>(imm.nan), mass, valid);
        }
    }
}
