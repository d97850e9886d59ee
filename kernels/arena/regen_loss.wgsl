// Second stage of regen: one workgroup adds the partial sums, and the penalty to word 0 of row clock.slot of the ring.
//
// ring is [ring_rows, words]. A thread adds every 256th partial sum, the workgroup adds its threads in a tree (1,024 bytes,
// tree.wgsl).
struct Immediates {
    partials: u32,
    factor: f32,
    ring_rows: u32,
    words: u32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> ring: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < imm.partials; i += 256u) {
        sum += partials[i];
    }
    let total = sum_of_workgroup(local, sum);
    if (local == 0u && imm.clock.slot < imm.ring_rows && imm.words > 0u) {
        ring[imm.clock.slot * imm.words] += imm.factor * total;
    }
}
