// Mean loss and mean of the largest value of each row, into row clock.slot of the ring.
//
// Layout: row_loss [rows]; q [rows, actions]; ring [ring_rows, words]. One workgroup: thread t adds every 256th row, a tree
// adds the threads. Workgroup memory: 2 KiB. Prepended: clock.wgsl, greedy.wgsl.
struct Immediates {
    rows: u32,
    actions: u32,
    ring_rows: u32,
    words: u32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> row_loss: array<f32>;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> ring: array<f32>;

var<workgroup> losses: array<f32, 256>;
var<workgroup> values: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    var loss = 0.0;
    var value = 0.0;
    for (var row = thread; row < imm.rows; row += 256u) {
        loss += row_loss[row];
        var largest = q[row * imm.actions];
        for (var k = 1u; k < imm.actions; k++) {
            let other = q[row * imm.actions + k];
            if (beats(other, largest)) {
                largest = other;
            }
        }
        value += largest;
    }
    losses[thread] = loss;
    values[thread] = value;
    for (var stride = 128u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if (thread < stride) {
            losses[thread] += losses[thread + stride];
            values[thread] += values[thread + stride];
        }
    }
    if (thread == 0u && imm.clock.slot < imm.ring_rows) {
        let at = imm.clock.slot * imm.words;
        ring[at] = losses[0] / f32(imm.rows);
        ring[at + 1u] = values[0] / f32(imm.rows);
    }
}
