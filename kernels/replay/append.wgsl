// New transitions into the ring.
//
// Layout: incoming [count, row]; ring [slots, row], which are the slots from first_slot on where the ring is bound in
// windows. A thread copies a word; threads stride over the rest. No workgroup memory, no barriers. Prepended: clock.wgsl.
struct Immediates {
    count: u32,
    // Words of a transition.
    row: u32,
    capacity: u32,
    first_slot: u32,
    slots: u32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> incoming: array<u32>;
@group(0) @binding(1) var<storage, read_write> ring: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < imm.count * imm.row; i += groups.x * 64u) {
        // Slots before the first wrap around to large numbers.
        let slot = (imm.clock.appended % imm.capacity + i / imm.row) % imm.capacity - imm.first_slot;
        if (slot < imm.slots) {
            ring[slot * imm.row + i % imm.row] = incoming[i];
        }
    }
}
