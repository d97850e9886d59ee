// Which units of a layer are dormant: score = activity / values / (mean over the units + epsilon) <= threshold.
//
// activity [units], dormant [units] (1 or 0), count [1]. One workgroup: a thread takes every 256th unit, a tree adds the
// threads (1,024 bytes, tree.wgsl).
struct Immediates {
    units: u32,
    // 1 / values and 1 / units.
    per_value: f32,
    per_unit: f32,
    epsilon: f32,
    threshold: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> activity: array<f32>;
@group(0) @binding(1) var<storage, read_write> dormant: array<u32>;
@group(0) @binding(2) var<storage, read_write> count: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var u = local; u < imm.units; u += 256u) {
        sum += activity[u] * imm.per_value;
    }
    let mean = sum_of_workgroup(local, sum) * imm.per_unit;
    // All have read the tree before it is used again.
    workgroupBarrier();
    var here = 0.0;
    for (var u = local; u < imm.units; u += 256u) {
        // A product, not a quotient, whose precision a driver may choose.
        let sleeps = activity[u] * imm.per_value <= imm.threshold * (mean + imm.epsilon);
        dormant[u] = select(0u, 1u, sleeps);
        here += select(0.0, 1.0, sleeps);
    }
    let all = sum_of_workgroup(local, here);
    if (local == 0u) {
        count[0] = u32(all);
    }
}
