// Mean loss, number of top-1 hits and number of top-5 hits of a batch, into row clock.slot of the ring.
//
// Layout: row_loss, row_rank [rows]; ring [ring_rows, words]. One workgroup: thread t adds every 256th row, a tree adds
// the threads. Workgroup memory: 3 KiB. Prepended: clock.wgsl.
struct Immediates {
    rows: u32,
    ring_rows: u32,
    words: u32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> row_loss: array<f32>;
@group(0) @binding(1) var<storage, read> row_rank: array<u32>;
@group(0) @binding(2) var<storage, read_write> ring: array<f32>;

var<workgroup> losses: array<f32, 256>;
var<workgroup> first: array<u32, 256>;
var<workgroup> first_five: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    var loss = 0.0;
    var hits = 0u;
    var hits_five = 0u;
    for (var row = thread; row < imm.rows; row += 256u) {
        loss += row_loss[row];
        hits += select(0u, 1u, row_rank[row] == 0u);
        hits_five += select(0u, 1u, row_rank[row] < 5u);
    }
    losses[thread] = loss;
    first[thread] = hits;
    first_five[thread] = hits_five;
    for (var stride = 128u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if (thread < stride) {
            losses[thread] += losses[thread + stride];
            first[thread] += first[thread + stride];
            first_five[thread] += first_five[thread + stride];
        }
    }
    if (thread == 0u && imm.clock.slot < imm.ring_rows) {
        let at = imm.clock.slot * imm.words;
        if (imm.words > 0u) {
            ring[at] = losses[0] / f32(imm.rows);
        }
        if (imm.words > 1u) {
            ring[at + 1u] = f32(first[0]);
        }
        if (imm.words > 2u) {
            ring[at + 2u] = f32(first_five[0]);
        }
    }
}
