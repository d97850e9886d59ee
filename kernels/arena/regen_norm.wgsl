// gradients += strength (params - initial) / distance, and the distance to word 0 of row clock.slot of the ring.
//
// Layout: three ranges of `len` floats; ring is [ring_rows, words]. One workgroup: a thread takes every 256th float, twice;
// a tree adds the threads (1,024 bytes, tree.wgsl). Made for a bias.
struct Immediates {
    len: u32,
    strength: f32,
    ring_rows: u32,
    words: u32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> params: array<f32>;
@group(0) @binding(1) var<storage, read> initial: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> ring: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < imm.len; i += 256u) {
        let d = params[i] - initial[i];
        sum += d * d;
    }
    let norm = sqrt(sum_of_workgroup(local, sum));
    // Where the distance is 0 nothing has a direction. Written so that a NaN stays one.
    if (norm != 0.0) {
        let factor = imm.strength / norm;
        for (var i = local; i < imm.len; i += 256u) {
            gradients[i] += factor * (params[i] - initial[i]);
        }
    }
    if (local == 0u && imm.clock.slot < imm.ring_rows && imm.words > 0u) {
        ring[imm.clock.slot * imm.words] += imm.strength * norm;
    }
}
