// Second stage of the gradient norm: one workgroup adds the partial sums and derives the clipping factor.
//
// clip = [norm, factor]; ring is [ring_rows, words] and gets the norm in word 3 of row clock.slot.
// A thread adds every 256th partial sum, the workgroup adds its threads in a tree (1,024 bytes, tree.wgsl).
struct Immediates {
    partials: u32,
    limit: f32,
    ring_rows: u32,
    words: u32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> clip: array<f32>;
@group(0) @binding(2) var<storage, read_write> ring: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < imm.partials; i += 256u) {
        sum += partials[i];
    }
    let norm = sqrt(sum_of_workgroup(local, sum));
    if (local == 0u) {
        // Finite, asked of the bits: a compiler may assume that floats are.
        let finite = (bitcast<u32>(norm) & 0x7f800000u) != 0x7f800000u;
        let length = norm + 1e-6;
        var factor = 1.0;
        if (finite && length > imm.limit) {
            factor = imm.limit / length;
        }
        clip[0] = norm;
        clip[1] = factor;
        if (imm.clock.slot < imm.ring_rows && 3u < imm.words) {
            ring[imm.clock.slot * imm.words + 3u] = norm;
        }
    }
}
