// Adds the divergence of a student from a teacher to losses and gradients; the formula is in distillation.rs.
//
// Layout: logits, teacher, dlogits [rows, classes]; row_loss [rows]. Of a workgroup of 128 threads, `lanes` (a power of two)
// share a row: one for few classes, all for many. A lane takes every `lanes`-th class, a tree folds the lanes.
// Workgroups stride over the rows. Workgroup memory: 2 KiB.
struct Immediates {
    rows: u32,
    classes: u32,
    weight: f32,
    // weight / rows
    gradient_weight: f32,
}
var<immediate> imm: Immediates;

override lanes: u32 = 1u;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> teacher: array<f32>;
@group(0) @binding(2) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;

// Maxima of student and teacher, then sums.
var<workgroup> folded: array<vec4<f32>, 128>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % lanes;
    let head = thread - lane;
    let rows_per_group = 128u / lanes;
    for (var first = group.x * rows_per_group; first < imm.rows; first += groups.x * rows_per_group) {
        let row = first + thread / lanes;
        // Threads without a row go along: barriers are for all.
        let classes = select(0u, imm.classes, row < imm.rows);
        // They look at the last row instead, and write nothing.
        let at = min(row, imm.rows - 1u) * imm.classes;

        var most = vec2<f32>(logits[at], teacher[at]);
        for (var k = lane; k < classes; k += lanes) {
            most = max(most, vec2<f32>(logits[at + k], teacher[at + k]));
        }
        folded[thread] = vec4<f32>(most, 0.0, 0.0);
        for (var stride = lanes / 2u; stride > 0u; stride /= 2u) {
            workgroupBarrier();
            if (lane < stride) {
                folded[thread] = max(folded[thread], folded[thread + stride]);
            }
        }
        workgroupBarrier();
        let largest = folded[head].xy;
        // Everybody has read before the array is used again.
        workgroupBarrier();

        // Sums of the exponentials, and of the teacher's times the differences of the logits.
        var sums = vec3<f32>(0.0);
        for (var k = lane; k < classes; k += lanes) {
            let shifted = vec2<f32>(logits[at + k], teacher[at + k]) - largest;
            let e = exp(shifted);
            sums += vec3<f32>(e, e.y * (shifted.y - shifted.x));
        }
        folded[thread] = vec4<f32>(sums, 0.0);
        for (var stride = lanes / 2u; stride > 0u; stride /= 2u) {
            workgroupBarrier();
            if (lane < stride) {
                folded[thread] += folded[thread + stride];
            }
        }
        workgroupBarrier();
        let total = folded[head].xyz;
        for (var k = lane; k < classes; k += lanes) {
            let softmax = exp(vec2<f32>(logits[at + k], teacher[at + k]) - largest) / total.xy;
            dlogits[at + k] += imm.gradient_weight * (softmax.x - softmax.y);
        }
        if (lane == 0u && classes > 0u) {
            row_loss[row] += imm.weight * (total.z / total.y + (log(total.x) - log(total.y)));
        }
        // The next rows use the array again.
        workgroupBarrier();
    }
}
